"""How a command line ends at what its user can put right."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turns what a user can put right into one line on stderr and exit code 2.

    That is ValueError, which the packages raise for bad input, and OSError. Anything else is our
    own mistake and keeps its traceback. Ctrl-C exits with 130, and a reader that closed the pipe,
    such as `head`, ends the program quietly, both as shells expect.
    """
    try:
        yield
    except BrokenPipeError:
        # Python flushes stdout once more at exit: give it somewhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(141) from None
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise SystemExit(130) from None
    except (ValueError, OSError) as error:
        message = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, OSError) and error.strerror:
            # "[Errno 13] Permission denied: 'x'" reads better the other way round.
            message = ": ".join(str(p) for p in (error.filename, error.strerror) if p)
        print(f"error: {message}", file=sys.stderr)
        raise SystemExit(2) from None
