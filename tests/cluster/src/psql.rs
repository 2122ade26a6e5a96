//! A session of psql, which reads rows of one database through libpq: what a test compares has not passed through the client that is tested.
use crate::{Cluster, program};
use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

/// Ends the rows of a statement.
const END: &str = "-- end --";

/// A row: `None` is NULL.
pub type Row = Vec<Option<String>>;

/// A running psql; killed when this is dropped.
pub struct Psql {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Psql {
    /// Connects to a database.
    ///
    /// # Panics
    /// There is no psql.
    pub fn start(cluster: &Cluster, name: &str) -> Self {
        let mut process = Command::new(program("psql"))
            .args(["-XqAt", "-F", "\t", "-P", "null=\\N", "-v", "ON_ERROR_STOP=1", "-d", &cluster.url(name)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (input, output) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        Self { process, input, output: BufReader::new(output) }
    }

    /// The rows of a statement, whose texts have no tab and no line feed. `None` if it failed, or the connection: psql has ended then.
    pub fn rows(&mut self, sql: &str) -> Option<Vec<Row>> {
        self.input.write_all(format!("{sql};\n\\echo {END}\n").as_bytes()).ok()?;
        let mut rows = Vec::new();
        loop {
            let mut line = String::new();
            if self.output.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let line = line.trim_end_matches('\n');
            if line == END {
                return Some(rows);
            }
            let cell = |text: &str| (text != "\\N").then(|| text.to_owned());
            rows.push(line.split('\t').map(cell).collect());
        }
    }
}

impl Drop for Psql {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
