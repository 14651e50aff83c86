use super::super::layers::Layers;
use super::*;

fn settle(file: &str, flags: &[(&str, &str)]) -> Result<Vec<Source>, String> {
    let mut layers = Layers::default();
    layers.put_text("tidegate.yaml", file);
    let layers = flags.iter().fold(layers, |layers, (key, value)| {
        layers.flag("--source-secret", key, Some((*value).to_owned()))
    });
    layers
        .settle()
        .map(|config| config.sources)
        .map_err(|problems| {
            let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
            texts.join("\n\n")
        })
}

fn shown(file: &str, flags: &[(&str, &str)]) -> Vec<String> {
    let shown = |source: &Source| {
        let Source {
            name,
            provider,
            secrets,
            tolerance,
        } = source;
        let secrets: Vec<String> = secrets.iter().map(|secret| format!("{secret:?}")).collect();
        format!("{name} {provider:?} {} {tolerance:?}", secrets.join(" "))
    };
    settle(file, flags).unwrap().iter().map(shown).collect()
}

#[test]
fn a_source_is_named_after_its_provider_or_says_which_it_is() {
    assert_eq!(shown("", &[]), [""; 0]);
    assert_eq!(shown("sources: {github: {secret: null}}", &[]), [""; 0]);
    let file = "\
sources:
  github: {secret: env:A}
  orders-stripe: {provider: stripe, secrets: [env:NEW, file:/old], tolerance: 10m}
  acme: {provider: hmac, secret: env:B, header: X-Acme, algorithm: sha512, prefix: \"v1=\", id: X-Id}
";
    assert_eq!(
        shown(file, &[]),
        [
            "acme Hmac(HmacScheme { header: \"X-Acme\", algorithm: Sha512, encoding: Hex, \
             prefix: \"v1=\", timestamp: None, id: Some(\"X-Id\"), event_type: None }) \
             Environment(\"B\") 300s",
            "github Github Environment(\"A\") 300s",
            "orders-stripe Stripe Environment(\"NEW\") File(\"/old\") 600s",
        ]
    );
}

#[test]
fn a_flag_wins_over_the_file_however_the_secrets_are_written() {
    let flags = [("sources.slack.secret", "env:FLAG, env:OLD")];
    for file in [
        "",
        "sources: {slack: {secret: env:FILE}}",
        "sources: {slack: {secrets: [env:FILE, env:FILE_OLD]}}",
    ] {
        let expected = ["slack Slack Environment(\"FLAG\") Environment(\"OLD\") 300s"];
        assert_eq!(shown(file, &flags), expected, "{file}");
    }
}

#[test]
fn what_is_wrong_with_a_source_is_told_without_its_secret() {
    let mut told = String::new();
    for file in [
        "sources: {acme: {secret: env:A}}",
        "sources: {acme: {provider: gitlab, secret: env:A}}",
        "sources: {github: {provider: github}}",
        "sources: {github: {secret: hunter2}}",
        "sources: {github: {secrets: [env:A, hunter2]}}",
        "sources: {github: {secret: [hunter2]}}",
        "sources: {github: {secretkey: hunter2}}",
        "sources: {github: {secret: env:NEW, secrets: [env:OLD]}}",
        "sources: {github: {secret: env:A, tolerance: 2d}}",
        "sources: {github: {secret: env:A, header: X-Signature}}",
        "sources: {acme: {provider: hmac, secret: env:A}}",
        "sources: {acme: {provider: hmac, secret: env:A, header: a b, encoding: hexa}}",
        "sources: {Acme: {provider: hmac, secret: hunter2}}",
    ] {
        told.push_str(&settle(file, &[]).unwrap_err());
        told.push_str("\n\n");
    }
    assert!(!told.contains("hunter2"), "{told}");
    insta::assert_snapshot!(told);
}
