//! What a request looks like: its bytes are made once, ids and data are patched in.

use super::{Form, Plan};
use crate::orders::{self, BODY_BYTES, EVENT_SOURCE, EVENT_TYPE, ID_BYTES, Orders};

/// A request's bytes, and where the events' ids and data stand in it.
pub(super) struct Template {
    pub(super) bytes: Vec<u8>,
    ids: Vec<usize>,
    bodies: Vec<usize>,
}

impl Template {
    pub(super) fn new(plan: &Plan, time: &str) -> Self {
        let id = "i".repeat(ID_BYTES);
        let data = "d".repeat(BODY_BYTES);
        let (head, body) = match plan.form {
            Form::Plain => ("content-type: application/json\r\n".to_owned(), data),
            Form::Binary => (
                format!(
                    "content-type: application/json\r\nce-specversion: 1.0\r\nce-type: {EVENT_TYPE}\r\n\
                     ce-source: {EVENT_SOURCE}\r\nce-time: {time}\r\nce-id: {id}\r\n"
                ),
                data,
            ),
            Form::Batch => {
                let event = format!(
                    "{{\"specversion\":\"1.0\",\"id\":\"{id}\",\"type\":\"{EVENT_TYPE}\",\
                     \"source\":\"{EVENT_SOURCE}\",\"time\":\"{time}\",\
                     \"datacontenttype\":\"application/json\",\"data\":{data}}}"
                );
                let events = vec![event; plan.batch];
                (
                    "content-type: application/cloudevents-batch+json\r\n".to_owned(),
                    format!("[{}]", events.join(",")),
                )
            }
        };
        let text = format!(
            "POST {} HTTP/1.1\r\nhost: {}\r\ncontent-length: {}\r\n{head}\r\n{body}",
            plan.path,
            plan.address,
            body.len(),
        );
        let places = |what: &str| text.match_indices(what).map(|(at, _)| at).collect();
        Self {
            ids: places(&id),
            bodies: places(&"d".repeat(BODY_BYTES)),
            bytes: text.into_bytes(),
        }
    }

    /// Returns how many events a request has.
    pub(super) fn events(&self) -> u64 {
        self.bodies.len() as u64
    }

    /// Writes the events `first`, `first + step`, … into the bytes of a request, all due at the same
    /// moment; returns the number after them.
    pub(super) fn fill(
        &self,
        orders: &Orders,
        first: u64,
        step: u64,
        due_us: u64,
        request: &mut [u8],
    ) -> u64 {
        let mut number = first;
        for (index, &at) in self.bodies.iter().enumerate() {
            let body = &mut request[at..at + BODY_BYTES];
            orders.write_body(number, body);
            orders::stamp(due_us, body);
            // A plain body is alone.
            if let Some(&at) = self.ids.get(index) {
                orders.write_id(number, &mut request[at..]);
            }
            number += step;
        }
        number
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_batch_has_as_many_ids_as_events() {
        let plan = Plan {
            address: "127.0.0.1:1".parse().expect("an address"),
            path: "/".to_owned(),
            form: Form::Batch,
            batch: 3,
            connections: 1,
            threads: 1,
            warm_up: Duration::ZERO,
            window: Duration::ZERO,
            rate: None,
            run: 1,
            time: "2026-01-01T00:00:00Z".to_owned(),
            watched: Vec::new(),
        };
        let template = Template::new(&plan, &plan.time);
        assert_eq!((template.ids.len(), template.bodies.len()), (3, 3));
        assert!(template.ids[1] > template.bodies[0] && template.ids[1] < template.bodies[1]);
    }
}
