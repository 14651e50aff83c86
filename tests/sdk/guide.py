"""Checks that each line of code in the guide stands in the example of its language."""

import re
from pathlib import Path

root = Path(__file__).parents[2]
examples = {
    "typescript": "typescript/send.ts",
    "go": "go/main.go",
    "python": "python/send.py",
    "java": "java/Send.java",
}
guide = (root / "docs/guides/cloudevents-sdks.md").read_text()
shown = re.findall(r"```(\w+)\n(.*?)```", guide, re.DOTALL)
assert {language for language, _ in shown} == set(examples), "a language is missing, or unknown"
for language, code in shown:
    example = (root / "examples/sdk" / examples[language]).read_text()
    lines = {line.strip() for line in example.splitlines()}
    for line in code.splitlines():
        assert line.strip() in lines, f"{examples[language]} has no line `{line}`"
