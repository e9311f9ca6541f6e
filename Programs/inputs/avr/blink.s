; A light on pin 13 of an Arduino, without anything below it.
        .text
        .global main
main:   ldi r16, 0x20
        out 0x04, r16
loop:   out 0x03, r16
        ldi r18, 41
        ldi r19, 150
        ldi r20, 128
wait:   dec r20
        brne wait
        dec r19
        brne wait
        dec r18
        brne wait
        rjmp loop
