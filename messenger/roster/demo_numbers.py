"""Phone numbers for the demo district: none twice, none that reaches anybody.

All have the exchange 555 until ten million are used up; only then the others follow.
"""

from collections.abc import Iterator
from math import gcd

# Minnesota's area codes first, then every other three digits that can be one: no N11 (services),
# no N9X (reserved), no toll-free or premium code.
CENTRAL = ("612", "651", "763", "952", "507", "320", "218")
NOT_FOR_HOMES = frozenset(["800", "822", "833", "844", "855", "866", "877", "888", "900"])
ELSEWHERE = tuple(
    f"{code}"
    for code in range(200, 1000)
    if f"{code}"[1:] != "11" and f"{code}"[1] != "9" and f"{code}" not in {*CENTRAL, *NOT_FOR_HOMES}
)
Number = tuple[str, str, str]  # area code, exchange, line


def phone_numbers(seed: int) -> Iterator[Number]:
    """Numbers in a scattered order that never comes back: Minnesota's codes, then the others.

    Each block of codes × 10,000 lines is walked in steps that share no factor with its length.
    """
    for exchange in (555, *range(556, 1000), *range(212, 555)):
        if exchange % 100 == 11:
            continue
        for codes in (CENTRAL, ELSEWHERE):
            block = len(codes) * 10_000
            step = next(step for step in range(block * 5 // 8, block) if gcd(step, block) == 1)
            for turn in range(block):
                code, line = divmod((turn * step + seed * 7919) % block, 10_000)
                yield codes[code], f"{exchange}", f"{line:04}"
