; A UEFI application for x86-64: prints a line on the first serial port, and halts.
; The headers of the PE32+ format are written out, so that nasm alone makes it.
;
;   nasm -f bin -D MESSAGE="'hello'" -o hello.efi hello-efi.nasm

        bits    64

FILE_ALIGN      equ     0x200
BASE            equ     0x1000          ; of the section, in memory

        dw      'MZ'
        times   0x3c - ($ - $$) db 0
        dd      header

header: db      'PE', 0, 0
        dw      0x8664                  ; x86-64
        dw      1                       ; sections
        dd      0, 0, 0                 ; time, symbols
        dw      sections - optional
        dw      0x0226                  ; executable, no line numbers, large addresses, no debug

optional:
        dw      0x020b                  ; PE32+
        db      0, 0
        dd      FILE_ALIGN, 0, 0        ; code, data, bss
        dd      BASE                    ; entry
        dd      BASE                    ; code
        dq      0                       ; preferred address
        dd      0x1000, FILE_ALIGN
        dw      0, 0, 0, 0, 0, 0        ; versions
        dd      0
        dd      2 * BASE                ; in memory
        dd      FILE_ALIGN              ; headers
        dd      0                       ; checksum
        dw      10, 0                   ; EFI application
        dq      0, 0, 0, 0
        dd      0
        dd      6                       ; directories
        times   6 dq 0

sections:
        db      '.text', 0, 0, 0
        dd      FILE_ALIGN, BASE, FILE_ALIGN, FILE_ALIGN
        dd      0, 0
        dw      0, 0
        dd      0xe0000020              ; code; read, write, execute
        times   FILE_ALIGN - ($ - $$) db 0

start:  lea     rsi, [rel text]
        cld
next:   lodsb
        mov     cl, al
        test    cl, cl
        jz      done
busy:   mov     dx, 0x3fd               ; line status
        in      al, dx
        test    al, 0x20                ; transmitter is empty
        jz      busy
        mov     al, cl
        mov     dx, 0x3f8
        out     dx, al
        jmp     next
done:   hlt
        jmp     done

text:   db      13, 10, MESSAGE, 13, 10, 0
        times   2 * FILE_ALIGN - ($ - $$) db 0
