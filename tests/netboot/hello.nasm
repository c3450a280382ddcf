; A network bootstrap program: prints a line on the first serial port, and halts.
;
;   nasm -f bin -D MESSAGE="'hello'" -o hello.0 hello.nasm

        bits    16
        org     0x7c00

start:  cli
        cld
        push    cs
        pop     ds
        mov     si, text - start
        call    here
here:   pop     bx
        add     si, bx
        sub     si, here - start
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
        times   512 - ($ - $$) db 0
