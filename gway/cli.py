"""From words to an exit code: options, patches, signals, errors in one sentence."""

from __future__ import annotations

import os
import sys

from gway.errors import GwayError, Terminated, UsageError, in_words
from gway.front import Front, read_front, will_serve
from gway.loader import find_roots, mount
from gway.workspace import find_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gway.resolver import Gateway

FAILED, USAGE, INTERRUPTED, TERMINATED = 1, 2, 130, 143


def run(argv: list[str]) -> int:
    """Run a command line; errors become one line and a hint on stderr."""
    front = Front()
    front.debug = "--debug" in argv
    try:
        front = read_front(argv)
        front.debug = front.debug or "--debug" in argv
        return _run(front)
    except GwayError as error:
        report(error, front.debug)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except Terminated:
        return TERMINATED
    except BrokenPipeError:
        # Whoever read our output has seen enough; Python must not flush into it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return FAILED
    except Exception as error:  # noqa: BLE001 - the last stop, where all becomes a sentence
        report(error, front.debug)
        return FAILED


def report(error: Exception, debug: bool) -> None:
    """Say on stderr what went wrong, and what to do about it."""
    if debug:
        import traceback

        traceback.print_exception(error)
    from gway.redaction import one_line

    if isinstance(error, GwayError):
        message, hint = error.message, error.hint
    else:
        message = in_words(error)
        hint = "--debug shows where it happened"
        if not isinstance(error, OSError):
            hint = f"this was not foreseen; {hint}"
        if debug:
            hint = None
    print(f"gway: {one_line(message)}", file=sys.stderr)
    if hint:
        print(f"hint: {one_line(hint)}", file=sys.stderr)


def _run(front: Front) -> int:
    root = find_root(front.workspace, os.environ, os.getcwd())
    mounted = mount()
    mounted.set_roots(find_roots(root, os.environ))
    if front.version:
        from importlib.metadata import version

        print(f"gway {version('gway')}")
        return 0
    if not front.words:
        from gway.helptext import general

        sys.stdout.write(general(mounted, root))
        return 0
    if front.help:
        front.words = ["help", *front.words]
    if will_serve(front, mounted):
        from gevent import monkey

        monkey.patch_all()
    return _run_words(front, root)


def _run_words(front: Front, root: str) -> int:
    from gway import resolver
    from gway.logs import Logs
    from gway.runner import Runner
    from gway.shutdown import close, signals

    gateway = resolver.Gateway(root)
    if front.site is not None:
        gateway.settings.override("SITE", front.site)
    if front.token_file is not None:
        gateway.settings.override("TOKEN_FILE", front.token_file)
    if front.settings:
        from gway.catalog import declare_all

        declare_all(gateway)
        for name, value in front.settings:
            if gateway.settings.is_secret(name):
                raise UsageError(
                    f"--set {name}: a command line is no place for a secret, others can read it",
                    f"put GWAY_{name.removeprefix('GWAY_')} into the environment or into .env",
                )
            gateway.settings.override(name, value)
    code = FAILED
    with resolver.use(gateway), signals():
        try:
            gateway.service(Logs).show_on_stderr(front.debug)
            code = Runner(gateway, front).run(front.words)
            _stay(gateway)
        except KeyboardInterrupt:
            code = INTERRUPTED
        except Terminated:
            code = TERMINATED
        except GwayError as error:
            code = error.exit_code
            raise
        finally:
            close(gateway, code)
    return code


def _stay(gateway: Gateway) -> None:
    """Keep a server and its jobs running until somebody stops them."""
    if gateway.serving and not gateway.jobs.released:
        gateway.jobs.wait()
    while gateway.jobs.alive() and not gateway.jobs.released and not gateway.jobs.wait(0.2):
        pass
