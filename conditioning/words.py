"""English words to draw."""

from __future__ import annotations

from itertools import islice

# What holds sentences together has no character of its own; nor have curses.
FUNCTION = """
    able about above across after again against ago all almost along already also although always
    among and another any anybody anyone anything anyway are around away because been before behind
    being below between both but came can cannot could did does doing done down during each either
    else enough etc even ever every everybody everyone everything few for from get gets getting got
    gonna gotta had has have having hello her here hers herself hey him himself his how however
    instead into isn its itself just least less let lot many may maybe might mine more most mr mrs
    much must myself near neither never nobody none nor not nothing now off often okay once one ones
    only onto other others otherwise our ours ourselves out over own per perhaps please quite rather
    really same shall she should since some somebody someone something sometimes somewhere still
    such than thanks that the their theirs them themselves then there therefore these they thing
    things this those though through throughout thus together too toward towards under unless until
    upon very via wanna was way well went were what whatever when whenever where wherever whether
    which whichever while who whoever whole whom whose why will with within without would yeah yes
    yet you your yours yourself
    ass bitch bitches bullshit cock damn dick fuck fucked fucking nigga nigger pussy shit slut whore
"""


def content_words(number: int) -> list[str]:
    """The commonest English words that mean something alone, by wordfreq (Speer 2022).

    Raises ValueError, in one line, without wordfreq, or for more words than it knows.
    """
    try:
        import wordfreq  # not needed to draw
    except ModuleNotFoundError:
        raise ValueError("word frequencies are missing: pip install wordfreq") from None
    function = set(FUNCTION.split())
    words = (
        word
        for word in wordfreq.iter_wordlist("en")
        if len(word) > 2 and word.isascii() and word.isalpha() and word not in function
    )
    found = list(islice(words, number))
    if len(found) < number:
        raise ValueError(f"{number:,} words: wordfreq knows {len(found):,}, so take fewer")
    return found
