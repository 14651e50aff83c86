//! How records change the state; logs of earlier versions among them.

use super::command::TopicAltered;
use super::*;

/// The META records of a log as version 0.1 wrote it, before topics could change.
const OLD_LOG: [&[u8]; 5] = [
    // The cluster and its first epoch.
    &[
        1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
        2, 2, 2,
    ],
    &[2, 1, 10],
    // Topic 1, `t`, two partitions, `a=b`.
    &[
        3, 1, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 1, b't', 2, 1, 1, b'a', 1, b'b', 0,
    ],
    // Group `g` commits offset 4 of partition 0; the next process opens the log.
    &[8, 1, b'g', 2, 4, 1, 1, 0, 8, 1, 0],
    &[2, 2, 12],
];

fn old_log() -> State {
    let mut state = State::default();
    for (lsn, body) in (1..).zip(OLD_LOG) {
        let command = Command::decode(body).unwrap();
        state.apply(lsn, &Entry::Meta(&command)).unwrap();
    }
    state
}

fn altered(number: u32, partitions: u32, settings: &[(&str, &str)]) -> Command {
    let settings = settings.iter();
    Command::TopicAltered(TopicAltered {
        number,
        partitions,
        config: settings
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
    })
}

#[test]
fn a_log_of_the_first_version_still_folds_and_goes_on() {
    let mut state = old_log();
    let before = state.topic(1).unwrap().clone();
    assert_eq!((before.name.as_str(), before.partitions.len()), ("t", 2));
    let command = altered(1, 4, &[("c", "d")]);
    state.apply(6, &Entry::Meta(&command)).unwrap();
    let topic = state.topic(1).unwrap();
    assert_eq!(
        (topic.id, &topic.partitions[..2]),
        (before.id, &before.partitions[..])
    );
    assert_eq!(topic.config, [("c".to_owned(), "d".to_owned())].into());
    // What is new begins at 0, in the epoch that made it.
    let new = Partition {
        epochs: vec![(2, 0)],
        ..Partition::default()
    };
    assert_eq!(topic.partitions[2..], [new.clone(), new]);
    assert_eq!(state.group("g").unwrap().offsets[&(1, 0)].offset, 4);
    assert_eq!(State::from_image(state.image()).image(), state.image());
}

#[test]
fn a_change_that_cannot_follow_is_damage() {
    let mut state = old_log();
    let before = state.image();
    for command in [altered(1, 1, &[]), altered(2, 4, &[])] {
        let refused = state.apply(6, &Entry::Meta(&command));
        assert!(
            matches!(refused, Err(ApplyError::Impossible { lsn: 6, .. })),
            "{refused:?}"
        );
        assert_eq!(state.image(), before);
    }
}
