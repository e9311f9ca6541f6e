#include <avr/io.h>
#include <stdint.h>

uint16_t fibonacci(uint8_t n) {
    uint16_t a = 0, b = 1;
    while (n--) {
        uint16_t sum = a + b;
        a = b;
        b = sum;
    }
    return a;
}

int main(void) {
    DDRB = 0x20;
    for (;;) PORTB ^= (uint8_t)fibonacci(12);
}
