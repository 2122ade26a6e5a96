//! The sample dashboard and alert rules: every metric and label in them is on the page that is served.
use atm_e2e::{Server, Value, examples, request_page};
use std::{collections::BTreeSet, fs};
use tempfile::TempDir;

/// The expressions of all panels of `examples/grafana.json`.
fn dashboard_expressions() -> Vec<String> {
    let text = fs::read_to_string(examples().join("grafana.json")).unwrap();
    let board: Value = serde_json::from_str(&text).unwrap();
    let targets = |panel: &Value| panel["targets"].as_array().unwrap().clone();
    let targets = board["panels"].as_array().unwrap().iter().flat_map(targets);
    targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect()
}

/// The expressions of all rules of `examples/alerts.yml`, each on one line.
fn rule_expressions() -> Vec<String> {
    let text = fs::read_to_string(examples().join("alerts.yml")).unwrap();
    let expressions = text.lines().filter_map(|line| line.trim().strip_prefix("expr: "));
    let expressions: Vec<String> = expressions.map(str::to_owned).collect();
    assert_eq!(expressions.len(), text.matches("- alert: ").count());
    expressions
}

/// The words of an expression that are the names of metrics.
fn metric_names(expression: &str) -> impl Iterator<Item = &str> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("atm_") || word.starts_with("process_"))
}

#[test]
fn the_dashboard_and_the_rules_use_what_the_page_has() {
    let folder = TempDir::new().unwrap();
    let server = Server::start(&["--metrics", "127.0.0.1:0", "--data", folder.path().to_str().unwrap()]);
    let page = request_page(server.metrics_address(), "GET /metrics HTTP/1.1").1;
    server.stop();
    let series: BTreeSet<&str> = page
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    let (board, rules) = (dashboard_expressions(), rule_expressions());
    for expression in board.iter().chain(&rules) {
        let names: Vec<_> = metric_names(expression).collect();
        assert!(!names.is_empty() || expression.starts_with("up{"), "{expression}");
        for name in names {
            assert!(series.contains(name), "no {name} on the page: {expression}");
        }
        // A value of one of our labels.
        for (label, value) in [("outcome=\"", "unknown"), ("operation=\"", "")] {
            if let Some((_, rest)) = expression.split_once(label) {
                assert!(rest.starts_with(value) && page.contains(&format!("{label}{value}")), "{expression}");
            }
        }
    }
    // The dashboard leaves no metric out. A histogram has three series.
    let metric = |name: &str| {
        let end = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        end.unwrap_or(name).to_owned()
    };
    let shown: BTreeSet<_> =
        board.iter().flat_map(|expression| metric_names(expression)).map(metric).collect();
    assert_eq!(shown, series.into_iter().map(metric).collect());
}
