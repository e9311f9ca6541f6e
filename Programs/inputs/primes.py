# MicroPython: the primes up to a bound, to a file and to standard output.
import sys


def primes(bound):
    marks = [True] * (bound + 1)
    for number in range(2, bound + 1):
        if marks[number]:
            yield number
            for multiple in range(number * number, bound + 1, number):
                marks[multiple] = False


with open("/job/primes.txt", "w") as file:
    for number in primes(10000):
        file.write("%d\n" % number)
print(sum(primes(10000)), sys.implementation[0])
