#!/bin/sh
# Called by the DHCP clients of the lab: sets the address and writes down what happened.
# dhclient and dhcpcd tell by variables (reason, new_ip_address), udhcpc by its argument and $ip.
event=$(echo "${1:-$reason}" | tr 'A-Z' 'a-z')
address=${ip:-$new_ip_address}
prefix=${mask:-$new_subnet_mask}

case "@CLIENT@ $event" in
    dhcpcd*) ;; # Sets its address itself.
    *' preinit') ip link set dev "$interface" up ;;
    *' bound' | *' renew' | *' rebind' | *' reboot')
        ip -4 address replace "$address/$prefix" dev "$interface"
        ;;
    *' deconfig' | *' expire' | *' release' | *' stop') ip -4 address flush dev "$interface" ;;
esac

echo "$event ${address:-$old_ip_address}" >> '@EVENTS@'
