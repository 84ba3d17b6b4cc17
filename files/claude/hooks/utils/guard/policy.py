"""The guard's policy: what a host's administrator may decide, checked before it is used."""

from __future__ import annotations

from utils.quickjson import loads

TYPE_CHECKING = False  # typing itself costs a third of a hook
if TYPE_CHECKING:
    from collections.abc import Iterable

MODES = ("scoped", "strict", "audit")
PATTERNS = (".env", ".env.*")
TEMPLATES = (".example", ".sample", ".template", ".dist", ".defaults")
RULE_KEYS = ("name", "pattern", "message", "must_match", "must_not_match")
LARGEST = 1 << 20  # bytes of a policy file

# Words that stand where a protected pattern has a star, to try a glob of a command against real names.
_SAMPLES = ("local", "production", "development", "test", "staging", "prod", "dev", "development.local", "x")


class InvalidPolicyError(ValueError):
    """A policy that must not be used; its text is one sentence."""

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(f"{where}: {problem}")


class Rule:
    """One rule of the host's own: `pattern` is searched in a Bash command."""

    __slots__ = ("message", "name", "pattern")

    def __init__(self, *, name: str, pattern: str, message: str) -> None:
        self.name = name
        self.pattern = pattern
        self.message = message


class Policy:
    """What is protected and how strictly.

    mode: ``scoped``, ``strict`` or ``audit``. patterns: globs of protected files. templates: suffixes of
    names that stay free. roots: further absolute directories inside which deletion is free. git_clean:
    whether ``git clean`` counts as deletion. rules: the host's own. shfmt: path of shfmt, or empty.
    home, project, tmpdir: where the call happens, absolute or empty.
    """

    __slots__ = (
        "_cores",
        "_samples",
        "git_clean",
        "home",
        "mode",
        "patterns",
        "project",
        "roots",
        "rules",
        "shfmt",
        "templates",
        "tmpdir",
    )

    def __init__(self) -> None:
        self.mode = "scoped"
        self.patterns: tuple[str, ...] = PATTERNS
        self.templates: tuple[str, ...] = TEMPLATES
        self.roots: tuple[str, ...] = ()
        self.git_clean = False
        self.rules: tuple[Rule, ...] = ()
        self.shfmt = ""
        self.home = ""
        self.project = ""
        self.tmpdir = ""
        self._samples: list[str] | None = None
        self._cores: tuple[str, ...] = ()

    def cores(self) -> tuple[str, ...]:
        """Return the longest literal part of each pattern: a name without any of them is not protected."""
        if not self._cores:
            found = []
            for pattern in self.patterns:
                base = pattern.lower().rpartition("/")[2] or pattern.lower().strip("/")
                parts = base.replace("?", "*").replace("[", "*").replace(".", "*").split("*")
                found.append(max(parts, key=len))
            self._cores = tuple(dict.fromkeys(found))
        return self._cores

    def samples(self) -> list[str]:
        """Return names of files that the patterns protect, to try a glob against."""
        if self._samples is None:
            names: list[str] = []
            for pattern in self.patterns:
                base = pattern.rpartition("/")[2].lower()
                names += [base.replace("*", word) for word in _SAMPLES] if "*" in base else [base, base + "~"]
            self._samples = [name for name in names if not self.is_template(name)]
        return self._samples

    def is_template(self, name: str) -> bool:
        """Say whether the file called `name` is a template, free for all."""
        return name.endswith(self.templates)


def load(path: str) -> Policy:
    """Return the policy in the file `path`.

    Raises `OSError` when it cannot be read, `InvalidPolicyError` when it must not be used.
    """
    with open(path, "rb") as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        problem = f"larger than {LARGEST} bytes; a policy is a page, not a book"
        raise InvalidPolicyError("policy " + path, problem)
    try:
        values = loads(data)
    except (ValueError, RecursionError) as error:
        msg = f"policy {path}"
        raise InvalidPolicyError(msg, f"is not JSON: {error}") from error
    return parse(values, where=f"policy {path}")


def parse(values: object, *, where: str = "policy") -> Policy:
    """Return the policy that the decoded JSON `values` states; raises `InvalidPolicyError`."""
    if not isinstance(values, dict):
        raise InvalidPolicyError(where, "must be one JSON object")
    policy = Policy()
    for key, value in values.items():
        if key == "mode":
            if value not in MODES:
                raise InvalidPolicyError(where, f"mode must be one of {', '.join(MODES)}, not {value!r}")
            policy.mode = str(value)
        elif key == "protected_patterns":
            policy.patterns = _texts(value, key, where)
            if not policy.patterns:
                raise InvalidPolicyError(where, "protected_patterns must name at least one pattern")
            for pattern in policy.patterns:
                if not any(c.isalnum() for c in pattern):
                    raise InvalidPolicyError(
                        where, f"protected_patterns: {pattern!r} would protect every file"
                    )
        elif key == "allowed_templates":
            policy.templates = _texts(value, key, where)
        elif key == "extra_allowed_roots":
            policy.roots = _texts(value, key, where)
            for root in policy.roots:
                if not root.startswith("/") or len(root.strip("/").split("/")) < 2 or ".." in root:
                    raise InvalidPolicyError(
                        where, f"extra_allowed_roots: {root!r} must be absolute and at least two levels deep"
                    )
        elif key == "git_clean":
            if not isinstance(value, bool):
                raise InvalidPolicyError(where, "git_clean must be true or false")
            policy.git_clean = value
        elif key == "own_rules":
            policy.rules = _rules(value, where)
        else:
            known = "mode, protected_patterns, allowed_templates, extra_allowed_roots, git_clean, own_rules"
            raise InvalidPolicyError(where, f"unknown key {key!r}; known are {known}")
    return policy


def _texts(value: object, key: str, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise InvalidPolicyError(where, f"{key} must be a list of non-empty strings")
    return tuple(value)


def _rules(value: object, where: str) -> tuple[Rule, ...]:
    if not isinstance(value, list):
        raise InvalidPolicyError(where, "own_rules must be a list")
    rules = []
    for number, item in enumerate(value, 1):
        here = f"{where}: own_rules[{number}]"
        if not isinstance(item, dict):
            raise InvalidPolicyError(here, f"must be an object with {', '.join(RULE_KEYS)}")
        for key in item:
            if key not in RULE_KEYS:
                raise InvalidPolicyError(here, f"unknown key {key!r}; known are {', '.join(RULE_KEYS)}")
        for key in ("name", "pattern", "message"):
            if not isinstance(item.get(key), str) or not item[key]:
                raise InvalidPolicyError(here, f"{key} must be a non-empty string")
        rules.append(Rule(name=item["name"], pattern=item["pattern"], message=item["message"]))
        for key in ("must_match", "must_not_match"):
            examples = _texts(item.get(key), f"own_rules[{number}].{key}", where)
            if not examples:
                raise InvalidPolicyError(here, f"{key} needs at least one example command")
            for example in examples:
                if _found(item["pattern"], example, here) is not (key == "must_match"):
                    did = "does not match" if key == "must_match" else "matches"
                    raise InvalidPolicyError(here, f"the pattern {did} the example {example!r} of {key}")
    return tuple(rules)


def _found(pattern: str, text: str, where: str) -> bool:
    import re  # only hosts with rules of their own pay for it

    try:
        return re.search(pattern, text) is not None
    except re.error as error:
        raise InvalidPolicyError(where, f"the pattern is not a regular expression: {error}") from error


def broken_rule(policy: Policy, command: str) -> Rule | None:
    """Return the first of the host's own rules that `command` breaks."""
    for rule in policy.rules:
        if _found(rule.pattern, command, "own rule"):
            return rule
    return None


def deny_rules(policy: Policy) -> list[str]:
    """Return the ``permissions.deny`` rules of Claude Code's settings that go with `policy`.

    With them Claude Code refuses before any hook runs, so nothing is counted. A rule cannot make exceptions:
    a pattern with a star is spelt out for the usual names that are no template.
    """
    rules: list[str] = []
    for pattern in policy.patterns:
        names: Iterable[str] = [pattern]
        if "*" in pattern and _may_be_template(pattern, policy):
            names = [pattern.replace("*", word) for word in _SAMPLES if word != "x"]
        for name in names:
            rule = f"Read(//**/{name})" if not name.startswith("/") else f"Read(/{name})"
            if rule not in rules:
                rules.append(rule)
    return rules


def _may_be_template(pattern: str, policy: Policy) -> bool:
    """Say whether `pattern` also matches templates: ``.env.*`` does, ``*.pem`` does not."""
    words = [word for suffix in policy.templates for word in (suffix, suffix[1:])]
    return any(policy.is_template(pattern.replace("*", word)) for word in words)
