"""Problems on dates and times: calendars, durations, schedules."""

from __future__ import annotations

import calendar
import datetime

from trimtab.qcode.problems.source import draw, problem

DAY = datetime.timedelta(1)
D = datetime.date


def _months(day: datetime.date) -> int:
    return (day.year - 2000) * 12 + day.month - 1


def _next_business(day: datetime.date) -> datetime.date:
    day += DAY
    while day.weekday() > 4:
        day += DAY
    return day


PROBLEMS = [
    problem(
        "is_weekend",
        "logic",
        "ds:D -> B",
        "For each date, is it a Saturday or a Sunday?",
        "2>ds mod 7",
        lambda ds: [d.weekday() > 4 for d in ds],
    ),
    problem(
        "days_between",
        "arithmetic",
        "a:d b:d -> j",
        "How many days lie between two dates (b minus a; negative when b is earlier)?",
        "`long$b-a",
        lambda a, b: (b - a).days,
        edges=[(D(2024, 2, 28), D(2024, 3, 1)), (D(2023, 2, 28), D(2023, 3, 1)), (D(2023, 1, 1), D(2023, 1, 1))],
    ),
    problem(
        "month_end",
        "arithmetic",
        "x:d -> d",
        "What is the last day of the month of this date?",
        "-1+`date$1+`month$x",
        lambda x: x.replace(day=calendar.monthrange(x.year, x.month)[1]),
        edges=[(D(2024, 2, 10),), (D(2023, 12, 31),)],
    ),
    problem(
        "next_business_day",
        "iteration",
        "x:d -> d",
        "What is the first day after this date that is neither a Saturday nor a Sunday?",
        "first c where 1<(c:x+1+til 3) mod 7",
        _next_business,
        edges=[(D(2024, 1, 5),), (D(2024, 1, 6),), (D(2024, 1, 7),)],
    ),
    problem(
        "weekday_name",
        "lists",
        "x:d -> s",
        "On which day of the week does the date fall? Answer with the symbol sat, sun, mon, tue, wed, thu or fri.",
        "`sat`sun`mon`tue`wed`thu`fri (`long$x) mod 7",
        lambda x: ["mon", "tue", "wed", "thu", "fri", "sat", "sun"][x.weekday()],
    ),
    problem(
        "count_by_month",
        "grouping",
        "ds:D -> M!J",
        "How many of the dates fall in each month? Return a dictionary from months to counts, months "
        "ascending. There is at least one date.",
        "(asc key d)#d:count each group `month$ds",
        lambda ds: {m: sum(_months(d) == m for d in ds) for m in sorted(set(map(_months, ds)))},
        draw(least=1, high=120),
    ),
    problem(
        "leap_year",
        "logic",
        "y:j -> b",
        "Is the year (Gregorian calendar) a leap year?",
        "(0=y mod 400)|(0=y mod 4)&0<>y mod 100",
        calendar.isleap,
        draw(low=1890, high=2110),
        edges=[(1900,), (2000,), (2024,), (2023,)],
    ),
    problem(
        "minutes_of_day",
        "casting",
        "x:u -> j",
        "How many minutes have passed since midnight at this time of day?",
        "`long$x",
        lambda x: x,
    ),
    problem(
        "business_days",
        "statistics",
        "a:d b:d -> j",
        "How many days from a to b, both included, are neither Saturday nor Sunday? 0 when b is before a.",
        "sum 1<(a+til 0|1+b-a) mod 7",
        lambda a, b: sum((a + DAY * i).weekday() < 5 for i in range((b - a).days + 1)),
        draw(low=0, high=30),
        draw(low=0, high=60),
        edges=[(D(2024, 1, 6), D(2024, 1, 7)), (D(2024, 1, 8), D(2024, 1, 8)), (D(2024, 1, 9), D(2024, 1, 8))],
    ),
    problem(
        "floor_to_bucket",
        "arithmetic",
        "ts:U n:j -> U",
        "Round each time of day down to a multiple of n minutes after midnight. n is positive.",
        "n xbar ts",
        lambda ts, n: [t - t % n for t in ts],
        None,
        draw(low=1, high=60),
    ),
    problem(
        "session_numbers",
        "lists",
        "ts:V gap:j -> J",
        "Times of events (seconds, in ascending order) belong to one session as long as at most gap "
        "seconds lie between neighbours. Number the sessions from 0 and give each event its number.",
        "$[count ts;sums `long$0b,gap<1_deltas `long$ts;`long$()]",
        lambda ts, gap: [sum(ts[j] - ts[j - 1] > gap for j in range(1, i + 1)) for i in range(len(ts))],
        draw(low=0, high=300, order="ascending"),
        draw(low=10, high=60),
    ),
    problem(
        "age_in_years",
        "recursion",
        "born:d today:d -> j",
        "How many full years lie between the date of birth and today? The year is full on the birthday "
        "itself; nobody here is born on 29 February. today is not before born.",
        "md:{100 sv `mm`dd$\\:x}; y:`year$(born;today); (y[1]-y 0)-md[today]<md born",
        lambda born, today: today.year - born.year - ((today.month, today.day) < (born.month, born.day)),
        draw(low=-9000, high=0),
        draw(low=1, high=900),
        edges=[(D(2000, 5, 17), D(2024, 5, 16)), (D(2000, 5, 17), D(2024, 5, 17)), (D(2000, 12, 1), D(2024, 1, 31))],
    ),
    problem(
        "quarter",
        "arithmetic",
        "x:d -> j",
        "In which quarter of the year (1 to 4) does the date lie?",
        "1+(-1+`mm$x) div 3",
        lambda x: (x.month + 2) // 3,
    ),
    problem(
        "hhmm_text",
        "strings",
        "x:u -> C",
        "Write a time of day as four digits without a colon (09:05 gives 0905).",
        'string[x] except ":"',
        lambda x: f"{x // 60:02d}{x % 60:02d}",
        edges=[(0,), (545,)],
    ),
    problem(
        "nth_weekday",
        "searching",
        "m:m k:j n:j -> d",
        "Which date is the n-th occurrence (n from 1 to 4) of a weekday in a month? The weekday k counts "
        "0 for Saturday, 1 for Sunday, up to 6 for Friday.",
        "(d where k=(d:(`date$m)+til 31) mod 7) n-1",
        lambda m, k, n: [
            d for d in (D(2000 + m // 12, m % 12 + 1, 1) + DAY * i for i in range(31)) if (d.weekday() + 2) % 7 == k
        ][n - 1],
        None,
        draw(low=0, high=6),
        draw(low=1, high=4),
    ),
]
