//! What a contract wants of its topic against what the log has: pure.
//!
//! Narrowing is told from widening, because the one lets go of events or refuses them, and the other
//! does not. A setting that a contract does not speak of is nobody's difference.

use serde::Serialize;
use tidegate_contract::model::Ordering;
use tidegate_contract::{EventContract, Reader};
use tidegate_event_log::{AlterTopic, Bounds, Topic, TopicConfig, TopicSpec};

/// Returns the topic of a reader's dead letters, if it has any. One partition is enough, since they are
/// few and stand in no order; whoever made it with more keeps them.
pub(crate) fn dead_letter_spec(reader: &Reader) -> Option<TopicSpec> {
    let letters = reader.dead_letter.as_ref()?;
    Some(TopicSpec {
        name: letters.topic.clone(),
        partitions: Some(1),
        config: TopicConfig::from([
            (
                "retention.ms".to_owned(),
                letters.retention.as_ms().to_string(),
            ),
            ("retention.bytes".to_owned(), "-1".to_owned()),
        ]),
    })
}

/// A setting that is to change.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, utoipa::ToSchema)]
#[schema(as = TopicSetting)]
pub(crate) struct Setting {
    pub(crate) setting: String,
    pub(crate) from: String,
    pub(crate) to: String,
    /// The same for people, `retention.ms 7d -> 1d`.
    pub(crate) about: String,
}

/// How a topic differs from what its contract wants.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Differences {
    /// The partitions it has, and the number that is wanted: more, or fewer.
    pub(crate) partitions: Option<(i32, i32)>,
    pub(crate) widen: Vec<Setting>,
    pub(crate) narrow: Vec<Setting>,
}

/// Compares a topic with what is wanted.
pub(crate) fn differences(wanted: &TopicSpec, topic: &Topic, bounds: &Bounds) -> Differences {
    let mut found = Differences::default();
    let partitions = wanted.partitions.unwrap_or(topic.partitions);
    if partitions != topic.partitions {
        found.partitions = Some((topic.partitions, partitions));
    }
    for (setting, to) in &wanted.config {
        let from = topic.config.get(setting).or(bounds.defaults.get(setting));
        let from = from.cloned().unwrap_or_default();
        if from == *to {
            continue;
        }
        let is_wider = amount(setting, to) >= amount(setting, &from);
        let list = if is_wider {
            &mut found.widen
        } else {
            &mut found.narrow
        };
        let (was, is) = (shown(setting, &from), shown(setting, to));
        list.push(Setting {
            about: format!("{setting} {was} -> {is}"),
            setting: setting.clone(),
            from,
            to: to.clone(),
        });
    }
    found
}

/// How much a value lets through; what cannot be read counts as most, so that to leave it is narrowing.
fn amount(setting: &str, value: &str) -> i64 {
    match value.parse() {
        Ok(-1) if setting.starts_with("retention.") => i64::MAX,
        Ok(amount) => amount,
        Err(_) => i64::MAX,
    }
}

/// Says what a topic is made as, for people.
pub(crate) fn described(topic: &TopicSpec) -> String {
    let value = |setting: &str| {
        let value = topic.config.get(setting).map(String::as_str);
        shown(setting, value.unwrap_or_default())
    };
    let partitions = match topic.partitions.unwrap_or(1) {
        1 => "1 partition".to_owned(),
        count => format!("{count} partitions"),
    };
    format!(
        "{partitions}, keeps events {}, messages up to {}",
        value("retention.ms"),
        value("max.message.bytes")
    )
}

/// Writes a value of a setting with the largest unit that it is a whole number of.
fn shown(setting: &str, value: &str) -> String {
    const TIMES: [(&str, i64); 4] = [
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1_000),
    ];
    const SIZES: [(&str, i64); 2] = [("MiB", 1 << 20), ("KiB", 1 << 10)];
    let Ok(number) = value.parse::<i64>() else {
        return value.to_owned();
    };
    let (units, least): (&[(&str, i64)], &str) = match setting {
        "retention.ms" if number == -1 => return "for ever".to_owned(),
        "retention.bytes" if number == -1 => return "all".to_owned(),
        "retention.ms" => (&TIMES, "ms"),
        "max.message.bytes" | "retention.bytes" => (&SIZES, "B"),
        _ => return value.to_owned(),
    };
    let fits = |(_, size): &&(&str, i64)| number != 0 && number % size == 0;
    match units.iter().find(fits) {
        Some((unit, size)) => format!("{}{unit}", number / size),
        None => format!("{number}{least}"),
    }
}

/// Says what no log of these bounds takes.
pub(crate) fn beyond(wanted: &TopicSpec, bounds: &Bounds) -> Option<String> {
    let partitions = wanted.partitions.unwrap_or(1);
    if partitions > bounds.partitions_a_topic {
        let most = bounds.partitions_a_topic;
        return Some(format!(
            "`topic.partitions` is `{partitions}`, and the log takes `{most}` a topic"
        ));
    }
    let message = wanted.config.get("max.message.bytes")?.parse::<u64>();
    let most = bounds.max_message_bytes;
    match message {
        Ok(bytes) if bytes <= most => None,
        _ => Some(format!(
            "`topic.maxMessage` and its envelope are larger than `{most}` bytes, the log's most"
        )),
    }
}

/// Says why a contract's topic must not get more partitions while it is used.
pub(crate) fn growth_breaks(contract: &EventContract) -> Option<&'static str> {
    (contract.key.ordering == Ordering::PerKey).then_some(
        "keys would go to other partitions, and events of one key overtake each other \
         (`ordering: per-key`)",
    )
}

/// Makes the change of settings.
pub(crate) fn set(settings: &[Setting]) -> AlterTopic {
    let settings = settings.iter();
    AlterTopic {
        set: settings
            .map(|it| (it.setting.clone(), it.to.clone()))
            .collect::<TopicConfig>(),
        ..AlterTopic::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(settings: &[(&str, &str)]) -> TopicConfig {
        let settings = settings.iter();
        settings
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn bounds() -> Bounds {
        Bounds {
            defaults: config(&[("retention.ms", "1000"), ("max.message.bytes", "100")]),
            max_message_bytes: 5_000,
            partitions_a_topic: 10,
            partitions_together: 100,
        }
    }

    fn check(
        wanted: &[(&str, &str)],
        has: &[(&str, &str)],
        widen: &[(&str, &str, &str)],
        narrow: &[(&str, &str, &str)],
    ) {
        let topic = Topic {
            name: "t".to_owned(),
            id: [0; 16],
            partitions: 3,
            config: config(has),
            internal: false,
        };
        let wanted = TopicSpec {
            name: "t".to_owned(),
            partitions: Some(3),
            config: config(wanted),
        };
        let settings = |list: &[(&str, &str, &str)]| -> Vec<Setting> {
            let list = list.iter();
            list.map(|(setting, from, to)| Setting {
                setting: (*setting).to_owned(),
                from: (*from).to_owned(),
                to: (*to).to_owned(),
                about: format!(
                    "{setting} {} -> {}",
                    shown(setting, from),
                    shown(setting, to)
                ),
            })
            .collect()
        };
        let expected = Differences {
            partitions: None,
            widen: settings(widen),
            narrow: settings(narrow),
        };
        assert_eq!(differences(&wanted, &topic, &bounds()), expected, "{has:?}");
    }

    #[test]
    fn narrowing_is_told_from_widening() {
        check(&[], &[("retention.ms", "5")], &[], &[]);
        check(&[("retention.ms", "5")], &[("retention.ms", "5")], &[], &[]);
        // What the log does where the topic says nothing.
        check(&[("retention.ms", "1000")], &[], &[], &[]);
        check(
            &[("retention.ms", "2000")],
            &[],
            &[("retention.ms", "1000", "2000")],
            &[],
        );
        check(
            &[("retention.ms", "500")],
            &[],
            &[],
            &[("retention.ms", "1000", "500")],
        );
        let forever = [("retention.ms", "-1")];
        check(&forever, &[], &[("retention.ms", "1000", "-1")], &[]);
        check(
            &[("retention.ms", "500")],
            &forever,
            &[],
            &[("retention.ms", "-1", "500")],
        );
        check(
            &[("max.message.bytes", "200"), ("retention.bytes", "-1")],
            &[("retention.bytes", "9"), ("max.message.bytes", "300")],
            &[("retention.bytes", "9", "-1")],
            &[("max.message.bytes", "300", "200")],
        );
        // Nobody knows how much it kept.
        check(
            &[("retention.ms", "5")],
            &[("retention.ms", "?")],
            &[],
            &[("retention.ms", "?", "5")],
        );
    }

    #[test]
    fn a_setting_has_the_largest_unit_it_is_whole_in() {
        for (setting, value, expected) in [
            ("retention.ms", "-1", "for ever"),
            ("retention.ms", "604800000", "7d"),
            ("retention.ms", "5400000", "90m"),
            ("retention.ms", "1500", "1500ms"),
            ("retention.ms", "0", "0ms"),
            ("retention.bytes", "-1", "all"),
            ("max.message.bytes", "1114112", "1088KiB"),
            ("max.message.bytes", "1048588", "1048588B"),
            ("flush.ms", "1000", "1000"),
            ("retention.ms", "soon", "soon"),
        ] {
            assert_eq!(shown(setting, value), expected, "{setting}={value}");
        }
    }

    #[test]
    fn what_no_log_takes_is_told() {
        let spec = |partitions, bytes: &str| TopicSpec {
            name: "t".to_owned(),
            partitions: Some(partitions),
            config: config(&[("max.message.bytes", bytes)]),
        };
        assert_eq!(beyond(&spec(10, "5000"), &bounds()), None);
        let told = beyond(&spec(11, "5000"), &bounds()).unwrap();
        assert!(told.contains("`10` a topic"), "{told}");
        let told = beyond(&spec(1, "5001"), &bounds()).unwrap();
        assert!(told.contains("`5000` bytes"), "{told}");
    }
}
