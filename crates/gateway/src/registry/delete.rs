//! Deleting, softly and for good, and changing modes, which may delete. Pure, as registering is.

use super::entity::Mode;
use super::error::Error;
use super::name::{Name, context_name};
use super::record::Change;
use super::table::{Filter, Stored, Table};

/// What is to be written, and what is answered then.
type Plan<T> = Result<(Vec<Change>, T), Error>;

pub(crate) fn refuse_read_only(table: &Table, subject: Option<&str>) -> Result<(), Error> {
    if !table.mode_in_scope(subject).is_read_only() {
        return Ok(());
    }
    let subject = subject.unwrap_or_default();
    let context = context_name(Name::parse(subject).context);
    let message = format!("Subject {subject} in context {context} is in read-only mode");
    Err(Error::not_permitted(message))
}

/// Deletes a version, the latest one for `None`.
pub(crate) fn version(
    table: &Table,
    subject: &str,
    asked: Option<i32>,
    permanent: bool,
) -> Plan<i32> {
    let number = asked.unwrap_or(-1);
    let Some(stored) = table.get(subject, asked) else {
        return Err(match table.has_subject(subject, true) {
            true => Error::version_not_found(number),
            false => Error::subject_not_found(subject),
        });
    };
    if stored.value.deleted && !permanent {
        return Err(Error::version_soft_deleted(subject, &number.to_string()));
    }
    refuse_read_only(table, Some(subject))?;
    let version = stored.value.version;
    let filter = Filter::of(permanent, false);
    if table.referrers(subject, version, filter).next().is_some() {
        return Err(Error::reference_exists(subject, version));
    }
    if !permanent {
        let mut value = stored.value.clone();
        value.deleted = true;
        return Ok((vec![Change::Schema(value)], version));
    }
    if !stored.value.deleted {
        return Err(Error::version_not_soft_deleted(subject, version));
    }
    let mut changes = vec![gone(stored)];
    if table.versions(subject).count() == 1 {
        changes.extend(settings_of(table, subject));
    }
    Ok((changes, version))
}

fn gone(stored: &Stored) -> Change {
    let (subject, version) = stored.version();
    Change::NoSchema { subject, version }
}

/// Takes back what was set for a subject that is gone.
fn settings_of(table: &Table, subject: &str) -> Vec<Change> {
    let own = Some(subject.to_owned());
    let mode = table
        .mode(Some(subject))
        .map(|_| Change::Mode(own.clone(), None));
    let config = table
        .config(Some(subject))
        .map(|_| Change::Config(own.clone(), None));
    mode.into_iter().chain(config).collect()
}

/// Deletes a subject with all its versions.
pub(crate) fn subject(table: &Table, subject: &str, permanent: bool) -> Plan<Vec<i32>> {
    if !table.has_subject(subject, true) {
        return Err(Error::subject_not_found(subject));
    }
    if !permanent && !table.has_subject(subject, false) {
        return Err(Error::subject_soft_deleted(subject));
    }
    refuse_read_only(table, Some(subject))?;
    let filter = Filter::of(permanent, false);
    let versions: Vec<_> = (table.versions(subject))
        .filter(|stored| filter.takes(stored.value.deleted))
        .collect();
    for stored in &versions {
        let version = stored.value.version;
        let mut others = table.referrers(subject, version, filter);
        if others.any(|other| other.value.subject != subject) {
            return Err(Error::reference_exists(subject, version));
        }
        if permanent && !stored.value.deleted {
            return Err(Error::subject_not_soft_deleted(subject));
        }
    }
    let numbers: Vec<i32> = versions.iter().map(|stored| stored.value.version).collect();
    if !permanent {
        let change = Change::DeleteSubject {
            subject: subject.to_owned(),
            version: numbers.last().copied().unwrap_or_default(),
        };
        return Ok((vec![change], numbers));
    }
    // The newest first: it may refer to older ones.
    let mut changes: Vec<_> = versions.iter().rev().map(|stored| gone(stored)).collect();
    changes.extend(settings_of(table, subject));
    Ok((changes, numbers))
}

/// Sets the mode of a subject, a context, or all for `None`; no mode takes it back.
pub(crate) fn set_mode(
    table: &Table,
    subject: Option<&str>,
    mode: Option<Mode>,
    force: bool,
) -> Plan<()> {
    let mut changes = Vec::new();
    let imports = mode == Some(Mode::Import) && table.mode_in_scope(subject) != Mode::Import;
    if imports && !force {
        if table.matching(subject).any(|stored| !stored.value.deleted) {
            return Err(Error::not_permitted(
                "Cannot import since found existing subjects",
            ));
        }
        for stored in table.matching(subject) {
            let (name, version) = stored.version();
            if table
                .referrers(&name, version, Filter::All)
                .next()
                .is_some()
            {
                return Err(Error::reference_exists(&name, version));
            }
            changes.push(gone(stored));
        }
        changes.push(Change::ClearSubject {
            subject: subject.map(str::to_owned),
        });
    }
    changes.push(Change::Mode(subject.map(str::to_owned), mode));
    Ok((changes, ()))
}

/// Takes a mode back and returns it; `recursive` also those of the subjects of a context.
pub(crate) fn mode(table: &Table, subject: Option<&str>, recursive: bool) -> Plan<Option<Mode>> {
    let own = table.mode(subject);
    let name = Name::parse(subject.unwrap_or_default());
    let shown = own.or_else(|| (subject.is_none() || name.is_global()).then_some(Mode::Readwrite));
    if shown.is_none() && !recursive {
        return Err(Error::subject_not_found(subject.unwrap_or_default()));
    }
    let mut changes = vec![Change::Mode(subject.map(str::to_owned), None)];
    if recursive && name.is_context() {
        let below = table.modes_below(subject).into_iter();
        changes.extend(below.map(|name| Change::Mode(Some(name), None)));
    }
    Ok((changes, shown))
}

/// Takes a context back that has no subjects.
pub(crate) fn context(table: &Table, prefix: &str) -> Plan<()> {
    if table.subjects(prefix).next().is_some() {
        return Err(Error::context_not_empty(prefix));
    }
    let context = Name::parse(prefix).context.to_owned();
    let exists = false;
    Ok((vec![Change::Context { context, exists }], ()))
}
