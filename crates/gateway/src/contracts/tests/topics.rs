//! Topics that are made, widened, narrowed and grown.

use super::{DAY_MS, MESSAGE_BYTES, check, contract, names, options, plain, team, topic};
use crate::contracts::plan::Options;

#[test]
fn dead_letters_get_their_topic_and_keep_it_as_long_as_their_reader_says() {
    let reader = "apiVersion: contract/v1\nkind: ConsumerContract\nmetadata: {name: r, owner: t}\nspec:\n  contract: a\n  accepts: \">=1\"\n  \
                  via: {kafka: {group: r}}\n  failure: {deadLetter: {owner: t, retention: 90d}}\n";
    let before = [team(""), contract("a", "")];
    let after = [team(""), contract("a", ""), reader.to_owned()];
    let none = Options::default();
    let made = ["+topic r.dead-letters 1", "+r"];
    check(&before, &[plain("a")], &after, &none, &made);
    let kept = |days: i64| topic("r.dead-letters", 4, days * DAY_MS, MESSAGE_BYTES);
    let wider = ["~topic r.dead-letters wide retention.ms", "+r"];
    check(&before, &[plain("a"), kept(30)], &after, &none, &wider);
    // Whoever keeps them longer loses nothing.
    check(&before, &[plain("a"), kept(365)], &after, &none, &["+r"]);
}

#[test]
fn topics_are_widened_and_narrowed_only_by_name() {
    let set = [team(""), contract("a", "")];
    let kept = |days: i64| [topic("a", 3, days * DAY_MS, MESSAGE_BYTES)];
    let none = Options::default();
    check(&set, &kept(7), &set, &none, &["~topic a wide retention.ms"]);
    check(&set, &kept(90), &set, &none, &["!a"]);
    let allowed = options(|it| it.allow_narrowing = names(&["a"]));
    check(
        &set,
        &kept(90),
        &set,
        &allowed,
        &["~topic a narrow retention.ms"],
    );
    let for_ever = [topic("a", 3, -1, MESSAGE_BYTES)];
    check(&set, &for_ever, &set, &none, &["!a"]);
    let small = [topic("a", 3, 30 * DAY_MS, 1_000)];
    check(
        &set,
        &small,
        &set,
        &none,
        &["~topic a wide max.message.bytes"],
    );
    // A shorter promise says so, and its topic follows once that is allowed.
    let shorter = [team(""), contract("a", "  topic: {retention: 7d}\n")];
    check(
        &set,
        &kept(30),
        &shorter,
        &none,
        &["~a retention-shortened", "!a"],
    );
    check(
        &set,
        &kept(30),
        &shorter,
        &allowed,
        &["~a retention-shortened", "~topic a narrow retention.ms"],
    );
    // An adopted topic shows each difference.
    let new = [team(""), contract("b", "")];
    let other = [plain("a"), topic("b", 3, 90 * DAY_MS, 1_000)];
    let stays = "(in force and not among these documents, stays: `a`)";
    check(
        &set,
        &other,
        &new,
        &options(|it| it.allow_narrowing = names(&["b"])),
        &[
            "=topic b",
            "~topic b wide max.message.bytes",
            "+b contract-added",
            "~topic b narrow retention.ms",
            stays,
        ],
    );
}

#[test]
fn partitions_grow_where_no_order_breaks() {
    let set = [team(""), contract("a", "")];
    let six = |more: &str| {
        let keyless =
            contract("a", "  topic: {partitions: 6}\n").replace("$.id}", &format!("$.id{more}}}"));
        [team(""), keyless]
    };
    let none = Options::default();
    let topics = [plain("a")];
    check(
        &set,
        &topics,
        &six(""),
        &none,
        &["~a partitions-reorder", "!a"],
    );
    let migrating = options(|it| it.migrating = true);
    check(
        &set,
        &topics,
        &six(""),
        &migrating,
        &["~topic a 3>6", "~a partitions-reorder"],
    );
    let free = six(", ordering: none");
    let expected = ["~topic a 3>6", "~a order-lost,partitions-raised"];
    check(&set, &topics, &free, &none, &expected);
    // None get fewer.
    let nine = [topic("a", 9, 30 * DAY_MS, MESSAGE_BYTES)];
    let note = "(topic `a` keeps its `9` partitions, `a` says `3`: no topic gets fewer)";
    check(&set, &nine, &set, &none, &[note]);
}

#[test]
fn what_no_log_takes_is_refused_before_anything_is_done() {
    let set = [team("")];
    let none = Options::default();
    let large = [team(""), contract("a", "  topic: {maxMessage: 8MiB}\n")];
    check(&set, &[], &large, &none, &["+a contract-added", "!a"]);
    let many = [
        team(""),
        contract("a", "  topic: {partitions: 60}\n"),
        contract("b", "  topic: {partitions: 60}\n"),
    ];
    let expected = [
        "+topic a 60",
        "+topic b 60",
        "+a contract-added",
        "+b contract-added",
        "!topics",
    ];
    check(&set, &[], &many, &none, &expected);
    let own = [plain("_tidegate.own"), plain("Zed")];
    let contracts = [team(""), contract("z", "  topic: {name: Zed}\n")];
    check(
        &set,
        &own,
        &contracts,
        &none,
        &["=topic Zed", "+z contract-added"],
    );
    let mut internal = plain("Zed");
    internal.internal = true;
    check(
        &set,
        &[internal],
        &contracts,
        &none,
        &["+z contract-added", "!z"],
    );
}
