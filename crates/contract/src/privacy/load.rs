//! Which protections a contract can keep, decided when it is loaded.

use super::{Guard, Guards, HASH_CHARACTERS, MASK_CHARACTERS, Then};
use crate::model::{PersonalField, Protect};
use crate::path::Path;
use crate::schema::Schema;

/// Makes the guards of fields.
pub(crate) fn guards(fields: &[PersonalField], schema: &Schema) -> Guards {
    let mut guards = Guards::new();
    for field in fields {
        if let Some(protect) = field.protect {
            add(&mut guards, &schema.names_of(&field.path), protect);
        }
    }
    guards
}

pub(super) fn add(guards: &mut Guards, names: &[Vec<String>], protect: Protect) {
    let Some((first, rest)) = names.split_first() else {
        return;
    };
    if rest.is_empty() {
        guards.push(Guard {
            names: first.clone(),
            then: Then::Protect(protect),
        });
        return;
    }
    let known = guards.iter_mut().find_map(|guard| match &mut guard.then {
        Then::Inside(inside) if guard.names == *first => Some(inside),
        _ => None,
    });
    match known {
        Some(inside) => add(inside, rest, protect),
        None => {
            let mut inside = Guards::new();
            add(&mut inside, rest, protect);
            guards.push(Guard {
                names: first.clone(),
                then: Then::Inside(inside),
            });
        }
    }
}

/// Says why a field cannot be protected like this, and what to do; nothing if it can. `read` are the paths
/// that the contract itself reads, with their keys.
pub(crate) fn problem(
    path: &Path,
    protect: Protect,
    schema: &Schema,
    read: &[(&str, &Path)],
) -> Option<(String, &'static str)> {
    if let Some((key, other)) = read.iter().find(|(_, other)| other.meets(path)) {
        let message = format!(
            "`{path}` is part of what `{key}` reads, `{other}`, which stands unprotected beside the data"
        );
        return Some((message, "protect another field, or take another one for it"));
    }
    let guarded = schema.guarded(path)?;
    let fits =
        |(least, most): (u64, u64)| guarded.characters.0 <= least && most <= guarded.characters.1;
    let (said, hint) = match protect {
        Protect::Drop if !guarded.may_go => (
            "the schema demands it, so that data without it would break the schema",
            "make the field optional in the schema (in Avro a union with `null`), or protect it otherwise",
        ),
        Protect::Reject if !guarded.may_go => (
            "the schema demands it, so that no event could be taken",
            "make the field optional in the schema, or take it out of it",
        ),
        Protect::Reject if !guarded.is_told => (
            "nobody can tell whether it is there: it has a value always",
            "declare the field `optional`, or protect it otherwise",
        ),
        Protect::Mask | Protect::Hash if !guarded.is_text => (
            "it may be something else than a text",
            "give it the type `string` in the schema, or drop it",
        ),
        Protect::Mask | Protect::Hash if !guarded.is_free => (
            "the schema says how its text must look, and what stands for it looks otherwise",
            "take `format`, `pattern`, `enum` or `const` out of the schema, or drop it",
        ),
        Protect::Mask if !fits(MASK_CHARACTERS) => (
            "a mask has 4 to 8 characters, and the schema does not take them",
            "widen `minLength` and `maxLength`, or drop it",
        ),
        Protect::Hash if !fits((HASH_CHARACTERS, HASH_CHARACTERS)) => (
            "a hash has 64 characters, and the schema does not take them",
            "widen `minLength` and `maxLength`, or drop it",
        ),
        _ => return None,
    };
    Some((
        format!("`{path}` cannot be protected by `{protect}`: {said}"),
        hint,
    ))
}
