"""Problems on codes: number bases, ciphers, checksums."""

from __future__ import annotations

from trimtab.qcode.problems.source import draw, problem

MORSE = {"a": ".-", "e": ".", "i": "..", "s": "...", "t": "-", "o": "---"}
DIGITS = draw(of="0123456789", least=2, most=10)


def _roman(n: int) -> str:
    out = ""
    for value, mark in [
        (1000, "M"),
        (900, "CM"),
        (500, "D"),
        (400, "CD"),
        (100, "C"),
        (90, "XC"),
        (50, "L"),
        (40, "XL"),
        (10, "X"),
        (9, "IX"),
        (5, "V"),
        (4, "IV"),
        (1, "I"),
    ]:
        out += mark * (n // value)
        n %= value
    return out


def _luhn(s: str) -> bool:
    total = 0
    for i, c in enumerate(reversed(s)):
        d = int(c) * (1 + i % 2)
        total += d - 9 if d > 9 else d
    return total % 10 == 0


def _base(n: int, b: int) -> list[int]:
    out: list[int] = []
    while True:
        out.insert(0, n % b)
        n //= b
        if n == 0:
            return out


PROBLEMS = [
    problem(
        "to_base",
        "arithmetic",
        "n:j b:j -> J",
        "Write a number that is not negative in base b (at least 2): return its digits, the most "
        "significant first. 0 has the one digit 0.",
        "$[n=0;enlist 0;b vs n]",
        _base,
        draw(low=0, high=500),
        draw(low=2, high=16),
        edges=[(0, 2), (255, 16), (8, 2)],
    ),
    problem(
        "binary_string",
        "strings",
        "n:j -> C",
        'Write a number that is not negative in binary, as a string without leading zeros (0 gives "0").',
        '$[n=0;enlist "0";raze string 2 vs n]',
        lambda n: f"{n:b}",
        draw(low=0, high=300),
        edges=[(0,), (1,), (8,)],
    ),
    problem(
        "from_binary",
        "strings",
        "s:C -> j",
        "A string of zeros and ones is a binary number. Return its value; the empty string is 0.",
        '$[count s;2 sv "J"$\'s;0]',
        lambda s: int(s, 2) if s else 0,
        draw(of="01", most=10),
        edges=[("",), ("0",), ("101",)],
    ),
    problem(
        "luhn",
        "logic",
        "s:C -> b",
        "Check a card number (a string of digits) by Luhn's rule: from the right, every second digit is "
        "doubled, and 9 is subtracted from doubles above 9; the sum of all must be divisible by 10.",
        'd:reverse "J"$\'s; e:d*1+(til count d) mod 2; 0=(sum e-9*e>9) mod 10',
        _luhn,
        DIGITS,
        edges=[("79927398713",), ("79927398710",), ("00",), ("18",)],
    ),
    problem(
        "roman",
        "iteration",
        "n:j -> C",
        "Write a number from 1 to 3999 in Roman numerals.",
        "v:1000 900 500 400 100 90 50 40 10 9 5 4 1; "
        'm:(enlist"M";"CM";enlist"D";"CD";enlist"C";"XC";enlist"L";"XL";enlist"X";"IX";enlist"V";"IV";enlist"I"); '
        'r:""; i:0; while[n>0;$[n>=v i;[r,:m i;n-:v i];i+:1]]; r',
        _roman,
        draw(low=1, high=3999),
        edges=[(4,), (1994,), (3999,)],
    ),
    problem(
        "roman_value",
        "dictionaries",
        "s:C -> j",
        "What number does a well-formed Roman numeral stand for? The empty string is 0.",
        'v:("IVXLCDM"!1 5 10 50 100 500 1000) s; sum v*1-2*v<0^next v',
        lambda s: (
            (lambda v: sum(-a if a < b else a for a, b in zip(v, [*v[1:], 0], strict=True)))(
                [dict(zip("IVXLCDM", (1, 5, 10, 50, 100, 500, 1000), strict=True))[c] for c in s]
            )
            if s
            else 0
        ),
        draw(words=["M", "CM", "D", "XC", "L", "IX", "IV", "III", "MMXXIV", "MCMXCIV"], most=1),
        edges=[("MCMXCIV",), ("LVIII",)],
    ),
    problem(
        "vigenere",
        "strings",
        "s:C pw:C -> C",
        "Encrypt small letters by Vigenere's cipher: the i-th letter is moved on in the alphabet by the "
        "place of the i-th letter of the key (a is 0), the key pw being repeated as needed; after z "
        "comes a. The key is not empty.",
        ".Q.a ((.Q.a?s)+(count s)#.Q.a?pw) mod 26",
        lambda s, pw: "".join(chr((ord(c) + ord(pw[i % len(pw)]) - 194) % 26 + 97) for i, c in enumerate(s)),
        draw(of="abxyz", most=9),
        draw(of="abcz", least=1, most=3),
        edges=[("", "a"), ("attack", "lemon")],
    ),
    problem(
        "morse",
        "dictionaries",
        "s:C -> C",
        "Write a word in Morse code, single blanks between letters. Its letters are among a (.-), e (.), "
        "i (..), s (...), t (-), o (---). The empty word gives an empty string.",
        '" " sv ("aeisto"!(".-";enlist".";"..";"...";enlist"-";"---")) s',
        lambda s: " ".join(MORSE[c] for c in s),
        draw(of="aeisto", most=6),
        edges=[("",), ("sos",)],
    ),
    problem(
        "parity_bit",
        "logic",
        "bits:B -> B",
        "Append a bit to a list of bits such that the number of ones becomes even.",
        "bits,1=(sum bits) mod 2",
        lambda bits: [*bits, sum(bits) % 2 == 1],
    ),
    problem(
        "gray_code",
        "arithmetic",
        "n:j -> J",
        "Return the Gray codes of 0, 1, ..., n-1 as numbers: the code of a number is the bitwise "
        "exclusive or of the number and its half (rounded down).",
        "{2 sv `long$a<>0,-1_a:(10#2) vs x} each til n",
        lambda n: [i ^ (i >> 1) for i in range(n)],
        draw(low=0, high=40),
        edges=[(0,), (1,), (8,)],
    ),
    problem(
        "hex_byte",
        "casting",
        "n:j -> C",
        "Write a number from 0 to 255 as two hexadecimal digits with small letters.",
        '"0123456789abcdef" 16 16 vs n',
        lambda n: f"{n:02x}",
        draw(low=0, high=255),
        edges=[(0,), (10,), (255,)],
    ),
    problem(
        "checksum_mod",
        "arithmetic",
        "s:C -> j",
        "Compute a checksum of a string of small letters: starting from 7, for every letter multiply by "
        "31, add its place in the alphabet (a is 0), and take the remainder modulo 1009.",
        "{((31*x)+y) mod 1009}/[7;.Q.a?s]",
        lambda s: __import__("functools").reduce(lambda h, c: (31 * h + ord(c) - 97) % 1009, s, 7),
        draw(most=8),
    ),
    problem(
        "rail_fence",
        "nested",
        "s:C k:j -> C",
        "Write a text into k columns by dealing out its characters in turn (the first to column 0, the "
        "next to column 1, ...), and return the columns one after the other. k is at least 1.",
        "s iasc (til count s) mod k",
        lambda s, k: "".join(s[i::k] for i in range(k)),
        draw(most=10),
        draw(low=1, high=4),
        edges=[("", 2), ("abcdef", 2)],
    ),
    problem(
        "delta_decode",
        "lists",
        "ds:J -> J",
        "A series was stored as its first value followed by the differences between neighbours. Restore the series.",
        "sums ds",
        lambda ds: [sum(ds[: i + 1]) for i in range(len(ds))],
    ),
]
