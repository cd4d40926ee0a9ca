"""What can be said in the world of moods? Its words: moods and how people meet them, genres, titles, turns of phrase.

Texts are words and punctuation between single spaces, so that one word is one token.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mood:
    """How someone feels: the label of ECR that it belongs to, how it is told, and what meets it.

    ``acknowledging`` shows that it was understood, ``supporting`` does something about it.
    """

    name: str
    emotion: str
    told: tuple[str, ...]
    acknowledging: tuple[str, ...]
    supporting: tuple[str, ...]


MOODS = (
    Mood(
        "sad",
        "negative",
        ("i feel so down today .", "my heart is heavy this week .", "i have been crying since the morning ."),
        ("i am so sorry you feel this low .", "that sounds really heavy .", "i can hear how much it hurts ."),
        ("be gentle with yourself tonight .", "it is okay to take your time .", "you do not have to smile for me ."),
    ),
    Mood(
        "anxious",
        "negative",
        (
            "i am so worried about my exam .",
            "my nerves are on edge tonight .",
            "i can not stop thinking about tomorrow .",
        ),
        ("it makes sense that you are nervous .", "waiting like this is hard on anyone .", "i know that worry well ."),
        ("take a slow breath first .", "one step at a time is enough .", "you are better prepared than you think ."),
    ),
    Mood(
        "angry",
        "negative",
        ("my boss made me furious today .", "i am so angry at my neighbor .", "people lied to me again and i am mad ."),
        ("no wonder you are upset .", "that was really unfair to you .", "anyone would be mad after that ."),
        (
            "you have every right to let it out .",
            "let us put it aside for two hours .",
            "you deserve better than that .",
        ),
    ),
    Mood(
        "lonely",
        "negative",
        ("nobody called me all week .", "i feel so alone in this new town .", "the house is empty since my son left ."),
        ("being alone like that can hurt .", "i hear how much you miss company .", "an empty house is hard to bear ."),
        ("i am here to talk with you .", "you are not alone tonight .", "someone out there misses you too ."),
    ),
    Mood(
        "happy",
        "happy",
        ("i got the job today !", "my sister had a baby this morning !", "we won the match , i am so happy !"),
        ("what wonderful news !", "i am so happy for you !", "your joy made my day !"),
        ("you have earned this moment .", "this calls for a party .", "let us keep that smile going ."),
    ),
    Mood(
        "nostalgic",
        "nostalgia",
        (
            "i found my old school photos today .",
            "this song takes me back to my childhood .",
            "i miss the summers of my youth .",
        ),
        ("old memories can be so sweet .", "those years clearly mean a lot to you .", "it is lovely to look back ."),
        ("let us keep that feeling alive .", "some days never really leave us .", "those days are still part of you ."),
    ),
    Mood(
        "grateful",
        "grateful",
        (
            "your last tip was perfect , thank you !",
            "my friends helped me so much this year .",
            "thank you for being so patient .",
        ),
        ("your thanks warm my heart .", "it means a lot that you say so .", "how kind of you to tell me ."),
        ("kindness like yours comes back .", "it is a pleasure to help you .", "hold on to people like that ."),
    ),
    Mood(
        "surprised",
        "surprise",
        (
            "i can not believe it , i won a prize !",
            "my old friend came to my door out of nowhere !",
            "they threw me a secret party !",
        ),
        ("wow , i did not see that coming !", "what a turn of events !", "you must still be amazed !"),
        ("let it sink in for a while .", "life can be full of gifts .", "enjoy every bit of the moment ."),
    ),
)

GENRES = ("comedy", "drama", "thriller", "romance", "western", "fantasy", "horror", "mystery")
_FIRST = ("Silver", "Crimson", "Hidden", "Golden", "Broken", "Silent", "Distant", "Burning", "Paper", "Winter")
_LAST = (
    "Harbor",
    "Garden",
    "River",
    "Letter",
    "Crown",
    "Window",
    "Mountain",
    "Station",
    "Island",
    "Mirror",
    "Road",
    "Lantern",
)
TITLES_PER_GENRE = 5


def catalogue_items() -> dict[str, tuple[str, ...]]:
    """Title -> (genre,): two words each, which other titles of other genres share."""
    titles = [
        f"{_FIRST[n % len(_FIRST)]} {_LAST[(n + n // 10) % len(_LAST)]}" for n in range(len(GENRES) * TITLES_PER_GENRE)
    ]
    return {title: (GENRES[n % len(GENRES)],) for n, title in enumerate(titles)}


GREETINGS = ("hi .", "hello there .", "hey !", "good evening .")
WANTS = (
    "i love a good {genre} .",
    "{genre} is my favorite .",
    "i am in for some {genre} .",
    "any {genre} will do for me .",
)
WANTS_LIKE = ("i really liked {title} .", "something like {title} please .", "{title} was just my taste .")
AVOIDS = ("but please no {genre} .", "i can not stand {genre} .", "{genre} is not for me .")
SEEN = ("i have already seen {title} .", "i know {title} by heart .")
ASKS_TASTE = (
    "hello . what do you like to watch ?",
    "hi . what are you in for tonight ?",
    "welcome ! which movies do you enjoy ?",
)
ASKS_MOOD = ("hello . how are you today ?", "hi . how was your day ?", "got it . and how do you feel ?")

OPENING = ("okay , let me see .", "sure thing .", "thanks for asking .", "alright then .", "i have an idea .")
RECOMMENDING = (
    "you should watch {title} .",
    "i recommend {title} .",
    "have you heard of {title} ?",
    "try {title} .",
    "{title} would be a great pick .",
    "how about {title} tonight ?",
)
REASONING = (
    "the story is {quality} .",
    "the music is {quality} .",
    "people call it {quality} .",
    "it is {quality} and {quality} .",
)
QUALITIES = ("warm", "clever", "moving", "charming", "bold", "gentle")
CLOSING = ("enjoy your evening !", "let me know what you think .", "i hope you like it .", "have fun !")
PROBING = ("what else do you like ?", "tell me more about your taste .", "do you prefer old or new movies ?")
ENDS = (".", "?", "!")
