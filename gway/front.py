"""The options of `gway` itself, before the verb; and whether the command will serve."""

from __future__ import annotations

from gway.errors import UsageError, did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gway.loader import Mount

FORMATS = ("json", "csv", "html")
OPTIONS = (
    "--help",
    "--version",
    "--workspace",
    "--site",
    "--at",
    "--at-insecure",
    "--token-file",
    "--run",
    "--set",
    "--debug",
)
VALUED = ("-w", "--workspace", "--site", "--at", "--token-file", "-r", "--run", "--set")
SEPARATORS = ("-", ";")
# Options of gway that may also stand among a verb's own; True when they take a value.
OUTER = {
    "help": False,
    "h": False,
    "debug": False,
    "at": True,
    "at_insecure": False,
    "token_file": True,
    **dict.fromkeys(FORMATS, False),
}


class Front:
    """What stood before the verb, and the words from the verb on."""

    def __init__(self) -> None:
        self.workspace: str | None = None
        self.at: str | None = None
        self.at_insecure = False
        self.token_file: str | None = None
        self.site: str | None = None
        self.format = "text"
        self.debug = False
        self.help = False
        self.version = False
        self.settings: list[tuple[str, str]] = []
        self.words: list[str] = []


def read_front(argv: list[str]) -> Front:
    """Read the options before the verb."""
    front = Front()
    words = list(argv)
    while words and words[0].startswith("-"):
        name, equals, text = words.pop(0).partition("=")
        if name in ("-h", "--help"):
            front.help = True
        elif name in ("-V", "--version"):
            front.version = True
        elif name == "--debug":
            front.debug = True
        elif name == "--at-insecure":
            front.at_insecure = True
        elif name[2:] in FORMATS and name.startswith("--"):
            front.format = name[2:]
        elif name in VALUED:
            if not equals:
                if not words:
                    raise UsageError(f"{name} needs a value", "see `gway --help`")
                text = words.pop(0)
            if name in ("-r", "--run"):
                words = ["run", text, *words]
                break
            _set(front, name, text)
        else:
            hint = did_you_mean(name, [*OPTIONS, *(f"--{each}" for each in FORMATS)])
            raise UsageError(f"gway has no option '{name}'", hint or "see `gway --help`")
    front.words = words
    return front


def _set(front: Front, name: str, text: str) -> None:
    if name in ("-w", "--workspace"):
        front.workspace = text
    elif name == "--token-file":
        front.token_file = text
    elif name == "--site":
        front.site = text
    elif name == "--at":
        front.at = text
    else:
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--set: {text!r} is not NAME=VALUE", "see `gway settings`")
        front.settings.append((key, value))


def split_chain(words: list[str]) -> list[list[str]]:
    """Split words at each `-` or `;` that stands alone."""
    parts: list[list[str]] = [[]]
    for word in words:
        if isinstance(word, str) and word in SEPARATORS:
            parts.append([])
        else:
            parts[-1].append(word)
    if not all(parts):
        raise UsageError("a verb is missing beside '-' or ';'")
    return parts


def will_serve(front: Front, mounted: Mount) -> bool:
    """Say whether any verb of the command serves, so that gevent must patch first."""
    if front.help or front.version or front.at or not front.words:
        return False
    return any(_serves(part, mounted) for part in split_chain(front.words))


def _serves(words: list[str], mounted: Mount) -> bool:
    if "--help" in words or "-h" in words or "--at" in words:
        return False
    if words[0] == "run":
        return "--check" not in words
    if words[0] == "every":
        return any(_serves(words[at:], mounted) for at in range(1, len(words)))
    way = mounted.follow(words)
    if way.place is None or not way.place.is_project or not way.verb:
        return False
    from gway.scan import scan

    verb = way.verb.replace("-", "_")
    serves = scan(way.place).serves
    return verb in serves or f"{verb}_app" in serves
