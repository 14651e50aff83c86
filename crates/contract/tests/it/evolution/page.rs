//! The page that the steps make: what was judged, what payloads show of it, and what they do not.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use super::{ASKED, PAYLOADS, Payloads, Step, Version, folder};

const MADE: &str =
    "<!-- Made from the code by crates/contract/tests/it/evolution; edit that, not this. -->";
/// Places in `ASKED`.
const BACKWARD: [usize; 2] = [0, 1];
const FORWARD: [usize; 2] = [2, 3];

pub(super) fn check(text: &str) {
    let path = folder("docs/reference/schema-evolution.md");
    let text = format!("{MADE}\n{text}");
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == text,
        "docs/reference/schema-evolution.md is not what the steps show; write it with \
         `UPDATE_REFERENCE=1 cargo test -p tidegate-contract --test it -- --ignored evolution`"
    );
}

pub(super) fn page(versions: &[Version], steps: &[Step], payloads: usize) -> String {
    let mut page = String::new();
    introduction(&mut page, versions, steps, payloads);
    table(&mut page, versions, steps);
    rules(&mut page, steps);
    lists(&mut page, versions, steps);
    by_contract(&mut page, versions, steps);
    page
}

fn introduction(page: &mut String, versions: &[Version], steps: &[Step], payloads: usize) {
    let (first, last) = (&versions[0], &versions[versions.len() - 1]);
    let count = |test: &dyn Fn(&Step) -> bool| steps.iter().filter(|step| test(step)).count();
    write!(
        page,
        "# How a real schema evolved

The {} published versions of `@octokit/webhooks-schemas`, {} to {}, each event a contract: {} at first, {} at last. `contract check` judged
each contract from version to version, {} steps. The {payloads} different payloads in the {} published versions of
`@octokit/webhooks-examples` were tried on both sides of each step: those that the writer's schema accepts, on the reader's. (The examples
were recorded over years, and no version of the schemas accepts all of them: {} accepts {}.)

- **BACKWARD**: readers of the new schema, payloads that the earlier one accepts. **FORWARD**: the other way round. **FULL** is both.
- A break is **shown** when a payload really fails, **not shown** when all payloads at hand pass, and **without payload** when
  the writer's schema accepts none that could show it.
- Where STRICT says «compatible», no payload fails: {} of {} verdicts. Where LENIENT says it, payloads fail in {} steps BACKWARD and in {}
  FORWARD: it lets a property come to an object that takes no others, and readers of the earlier schema refuse it. FORWARD promises
  something for such objects only under `compatibilityPolicy: STRICT`.
- The default of a contract, BACKWARD and LENIENT, tells {} breaks; {} of them show.
",
        versions.len(),
        first.number,
        last.number,
        first.contracts.len(),
        last.contracts.len(),
        steps.len(),
        PAYLOADS.len(),
        last.number,
        last.accepts.values().flatten().filter(|accepted| **accepted).count(),
        count(&|step| !step.is_broken(1)) + count(&|step| !step.is_broken(3)),
        2 * steps.len(),
        count(&|step| step.is_untold(0)),
        count(&|step| step.is_untold(2)),
        count(&|step| step.is_broken(0)),
        count(&|step| step.is_shown(0)),
    )
    .unwrap();
}

/// The steps between two versions.
fn between<'s>(steps: &'s [Step], pair: &[Version]) -> Vec<&'s Step> {
    steps
        .iter()
        .filter(|step| step.from == pair[0].number && step.to == pair[1].number)
        .collect()
}

/// `12: 3 + 4 + 5`: broken, as the sum of shown, not shown and without payload.
fn broken(steps: &[&Step], asked: usize) -> String {
    let broken: Vec<&&Step> = steps.iter().filter(|step| step.is_broken(asked)).collect();
    let shown = broken.iter().filter(|step| step.is_shown(asked)).count();
    let without = broken
        .iter()
        .filter(|step| step.payloads(asked).tried == 0)
        .count();
    match broken.len() {
        0 => "0".to_owned(),
        all => format!("{all}: {shown} + {} + {without}", all - shown - without),
    }
}

fn refused(steps: &[&Step], asked: usize) -> String {
    let sum = steps
        .iter()
        .fold(Payloads::default(), |sum, step| Payloads {
            tried: sum.tried + step.payloads(asked).tried,
            refused: sum.refused + step.payloads(asked).refused,
        });
    format!("{} of {}", sum.refused, sum.tried)
}

fn table(page: &mut String, versions: &[Version], steps: &[Step]) {
    for (title, asked) in [("BACKWARD", BACKWARD), ("FORWARD", FORWARD)] {
        write!(
            page,
            "
## {title}, step by step

Broken contracts as `all: shown + not shown + without payload`.

| step | contracts | LENIENT | STRICT | told by STRICT only, and shown | payloads refused |
|---|---|---|---|---|---|
"
        )
        .unwrap();
        for pair in versions.windows(2) {
            let steps = between(steps, pair);
            let untold = steps.iter().filter(|step| step.is_untold(asked[0])).count();
            writeln!(
                page,
                "| {} → {} | {} | {} | {} | {untold} | {} |",
                pair[0].number,
                pair[1].number,
                steps.len(),
                broken(&steps, asked[0]),
                broken(&steps, asked[1]),
                refused(&steps, asked[0]),
            )
            .unwrap();
        }
    }
    page.push_str("\n## FULL, and what came and went\n\n| step | FULL, LENIENT | FULL, STRICT | events that came | went |\n|---|---|---|---|---|\n");
    for pair in versions.windows(2) {
        let (old, new) = (&pair[0], &pair[1]);
        let steps = between(steps, pair);
        let full = |policy: usize| {
            let both =
                |step: &&&Step| step.is_broken(BACKWARD[policy]) || step.is_broken(FORWARD[policy]);
            steps.iter().filter(both).count()
        };
        let names = |of: &Version, not_in: &Version| {
            let names = of.contracts.iter().map(|contract| contract.name.as_str());
            let names = names.filter(|name| not_in.contracts.by_name(name).is_none());
            names.collect::<Vec<_>>().join(", ")
        };
        writeln!(
            page,
            "| {} → {} | {} | {} | {} | {} |",
            old.number,
            new.number,
            full(0),
            full(1),
            names(new, old),
            names(old, new)
        )
        .unwrap();
    }
}

fn rules(page: &mut String, steps: &[Step]) {
    let mut rules: BTreeMap<&str, [[usize; 2]; 4]> = BTreeMap::new();
    for (step, asked) in steps
        .iter()
        .flat_map(|step| (0..ASKED.len()).map(move |at| (step, at)))
    {
        for rule in &step.broken[asked] {
            let [all, shown] = &mut rules.entry(rule).or_default()[asked];
            *all += 1;
            *shown += usize::from(step.is_shown(asked));
        }
    }
    page.push_str(
        "
## By rule

In how many steps a rule is among the reasons, and in how many of those a payload fails.

| rule | BACKWARD, LENIENT | STRICT | FORWARD, LENIENT | STRICT |
|---|---|---|---|---|
",
    );
    for (rule, counts) in rules {
        let cells = counts
            .map(|[all, shown]| format!("{all} ({shown})"))
            .join(" | ");
        writeln!(page, "| `{rule}` | {cells} |").unwrap();
    }
}

fn lists(page: &mut String, versions: &[Version], steps: &[Step]) {
    let mut list = |title: &str, asked: usize, test: &dyn Fn(&Step) -> bool| {
        write!(page, "\n## {title}\n\n").unwrap();
        let mut any = false;
        for pair in versions.windows(2) {
            let steps = between(steps, pair);
            let told = steps.into_iter().filter(|step| test(step)).map(|step| {
                let Payloads { tried, refused } = step.payloads(asked);
                match refused {
                    0 => step.contract.clone(),
                    _ => format!("{} ({refused} of {tried})", step.contract),
                }
            });
            let told: Vec<String> = told.collect();
            if !told.is_empty() {
                any = true;
                let (old, new) = (pair[0].number, pair[1].number);
                writeln!(page, "- {old} → {new}: {}", told.join(", ")).unwrap();
            }
        }
        if !any {
            page.push_str("None.\n");
        }
    };
    for asked in [0, 3] {
        let (direction, policy) = ASKED[asked];
        let title = format!(
            "Breaks that no payload shows, though there are some: {}, {policy}",
            direction.as_str()
        );
        list(&title, asked, &|step| {
            step.is_broken(asked) && !step.is_shown(asked) && step.payloads(asked).tried > 0
        });
    }
    for (asked, (direction, policy)) in ASKED.into_iter().enumerate() {
        let title = format!(
            "Payloads that fail where no break is told: {}, {policy}",
            direction.as_str()
        );
        list(&title, asked, &|step| step.is_untold(asked));
    }
}

fn by_contract(page: &mut String, versions: &[Version], steps: &[Step]) {
    let mut rows: BTreeMap<&str, Vec<Option<&Step>>> = BTreeMap::new();
    for (at, pair) in versions.windows(2).enumerate() {
        for step in between(steps, pair) {
            let row = rows
                .entry(&step.contract)
                .or_insert_with(|| vec![None; versions.len() - 1]);
            row[at] = Some(step);
        }
    }
    page.push_str(
        "
## By contract

A character a step, oldest first: `.` compatible, `x` broken, `X` broken and shown, `-` not in both versions.

```text
",
    );
    writeln!(page, "{:<36}{:<20}FORWARD, STRICT", "", "BACKWARD, LENIENT").unwrap();
    for (contract, row) in rows {
        let marks = |asked: usize| -> String {
            let mark = |step: &Option<&Step>| match step {
                None => '-',
                Some(step) if step.is_shown(asked) => 'X',
                Some(step) if step.is_broken(asked) => 'x',
                Some(_) => '.',
            };
            row.iter().map(mark).collect()
        };
        writeln!(page, "{contract:<36}{:<20}{}", marks(0), marks(3)).unwrap();
    }
    page.push_str("```\n");
}
