"""Are the commands of the AWS CLI and of SAM in the documents spelled as these tools spell them?

Runs in the environment that `make template` installs: botocore has every call of AWS with its parameters, and SAM says
its options itself. Without the network. Prints what is wrong, and fails then.
"""

import re
import shlex
import sys
from pathlib import Path

import botocore.session
import click
from botocore import xform_name
from samcli.cli.main import cli as sam

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# "AWS CLI Command Reference", global options.
GLOBAL = {"--query", "--output", "--region", "--profile", "--no-cli-pager"}
# What the AWS CLI has besides the calls of the services.
OWN = {
    ("cloudformation", "deploy"): {"--stack-name", "--template-file", "--capabilities", "--parameter-overrides"},
    ("configure", "export-credentials"): {"--format"},
    ("logs", "tail"): {"--since", "--follow", "--format", "--filter-pattern"},
    ("sso", "login"): set(),
}
SESSION = botocore.session.get_session()


def commands(page):
    """What a page has in code: the lines of its blocks, and what stands between backticks."""
    in_block = False
    for line in page.replace("\\\n", " ").splitlines():
        if line.strip().startswith("```"):
            in_block = not in_block
        elif in_block:
            yield line.strip()
        else:
            yield from re.findall(r"`([^`]+)`", line)


def simple_commands(line):
    """The commands that a shell would make of it, each as its words."""
    line = re.sub(r"\$\(\s*((?:aws|sam|target/sam/bin/sam) [^()]*)\)", r"; \1", line)
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.commenters = "#"
    words = []
    try:
        for word in lexer:
            if re.fullmatch(r"[|&;<>]+", word):
                yield words
                words = []
            else:
                words.append(word)
    except ValueError:  # an apostrophe in what isn't a command
        return
    yield words


def options(words):
    return [word.split("=")[0] for word in words if word.startswith("--")]


def wrong_in_aws(words):
    if len(words) < 2 or words[0].startswith("-"):
        return None
    service, call = words[:2]
    known = OWN.get((service, call))
    if known is None:
        if service not in SESSION.get_available_services():
            return f"there is no service {service}"
        model = SESSION.get_service_model(service)
        calls = {xform_name(name, "-"): name for name in model.operation_names}
        if call not in calls:
            return f"{service} has no call {call}"
        shape = model.operation_model(calls[call]).input_shape
        known = {"--" + xform_name(name, "-") for name in (shape.members if shape else {})}
        # A flag can be negated.
        known |= {option.replace("--", "--no-", 1) for option in known}
    unknown = [option for option in options(words[2:]) if option not in known | GLOBAL]
    return f"{service} {call} doesn't know {', '.join(unknown)}" if unknown else None


def wrong_in_sam(words):
    # Without an object in its context it loads no command.
    command, context = sam, click.Context(sam, obj=object())
    while words and isinstance(command, click.MultiCommand):
        name = words.pop(0)
        found = command.get_command(context, name)
        if found is None:
            return f"SAM has no command {name}"
        command = found
    known = {option for parameter in command.params for option in parameter.opts + parameter.secondary_opts}
    unknown = [option for option in options(words) if option not in known]
    return f"sam {command.name} doesn't know {', '.join(unknown)}" if unknown else None


def wrong(words):
    while words and re.fullmatch(r"[A-Za-z_]+=.*", words[0]):
        words = words[1:]
    if not words:
        return None
    if words[0] == "aws":
        return wrong_in_aws(words[1:])
    if words[0] in ("sam", "target/sam/bin/sam"):
        return wrong_in_sam(words[1:])
    return None


def main():
    checked, found = 0, []
    for page in PAGES:
        for line in commands(page.read_text()):
            for words in simple_commands(line):
                is_ours = words and words[0] in ("aws", "sam", "target/sam/bin/sam")
                checked += bool(is_ours)
                problem = wrong(words)
                if problem:
                    found.append(f"{page.relative_to(ROOT)}: {' '.join(words)}\n  {problem}")
    print("\n".join(found) or f"{checked} commands of AWS and SAM in the documents exist")
    if found or not checked:
        sys.exit(1)


main()
