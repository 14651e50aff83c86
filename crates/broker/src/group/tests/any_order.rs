//! Steps in any order, by a seed: a group never forgets anyone.

use super::static_members::as_static;
use super::{Effect, Ticket, World};

#[test]
fn something_is_always_due_while_somebody_waits() {
    // Any order of a few steps: whoever waits is answered in bounded time, exactly once.
    let mut seed = 7_u64;
    let mut random = move |below: u64| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    for _ in 0..300 {
        let mut world = World::with_delay(random(3) * 100);
        let mut open: Vec<Ticket> = Vec::new();
        for _ in 0..40 {
            let ids: Vec<String> = world
                .group
                .view()
                .members
                .into_iter()
                .map(|m| m.member_id)
                .collect();
            let some_id = if ids.is_empty() {
                String::new()
            } else {
                ids[random(ids.len() as u64) as usize].clone()
            };
            match random(7) {
                0 => open.push(world.join(|join| join.returns_with_id = random(2) == 0)),
                1 => open.push(world.join(as_static(["a", "b"][random(2) as usize]))),
                2 => open.push(world.member(&some_id)),
                3 => open.push(world.sync(&some_id, &[(&some_id, "all")])),
                4 => drop(world.leave(&some_id)),
                5 => drop(world.beat(&some_id)),
                _ => {
                    let ms = random(4_000);
                    world.pass(ms);
                }
            }
        }
        for _ in 0..200 {
            let Some(at_ms) = world.group.next_deadline_ms() else {
                break;
            };
            let ms = at_ms.saturating_sub(world.now_ms);
            world.pass(ms);
        }
        assert!(world.group.is_idle(), "everyone is gone in the end");
        let mut answered: Vec<Ticket> = world
            .effects
            .iter()
            .map(|effect| match effect {
                Effect::Joined(ticket, _) | Effect::Synced(ticket, _) => *ticket,
            })
            .collect();
        answered.sort_unstable();
        assert_eq!(answered, open);
    }
}
