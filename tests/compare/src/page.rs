//! The page with the results, compare.md, and its charts; written after each part, so that a later failure
//! loses nothing.
use atm_compare::{
    chart::{Chart, Scale},
    rounds::Results,
    targets::PerformanceTarget,
};
use atm_e2e::print_text;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

#[derive(Default)]
pub(crate) struct Page {
    text: String,
    charts: Vec<(&'static str, String)>,
    pub(crate) targets: Vec<PerformanceTarget>,
    folder: Option<PathBuf>,
    /// The page's file there.
    name: &'static str,
}

impl Page {
    /// A page made by `command`, to be written into `folder` under this name; the folder is created if missing.
    ///
    /// # Errors
    /// No file can be created there.
    pub(crate) fn new(command: &str, (folder, name): (Option<&Path>, &'static str)) -> Result<Self, String> {
        if let Some(folder) = folder {
            let created = fs::create_dir_all(folder).and_then(|()| tempfile::NamedTempFile::new_in(folder));
            created.map_err(|error| format!("{}: {error}", folder.display()))?;
        }
        let text = format!(
            "# atm beside other servers\n\nMade by `{command}`. docs/benchmarks.md says what is measured, and how.\n"
        );
        Ok(Self { text, folder: folder.map(Path::to_owned), name, ..Self::default() })
    }

    /// Adds a paragraph or a table, and prints it.
    pub(crate) fn add(&mut self, text: &str) {
        print_text(format_args!("\n{text}"));
        self.text.push('\n');
        self.text.push_str(text);
    }

    /// Adds a chart of a value of each system and number of sessions, in a file of its own.
    pub(crate) fn draw(
        &mut self,
        name: &'static str,
        (title, label, scale): (&str, &str, Scale),
        results: &Results,
        value: impl Fn(&str, usize) -> Option<f64>,
    ) {
        let chart = Chart { title, label, scale };
        self.charts.push((name, chart.draw(results, value)));
    }

    /// Writes the page as it is now, if there is a folder for it.
    pub(crate) fn write(&self) -> Result<(), String> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let write = || {
            for (name, chart) in &self.charts {
                fs::write(folder.join(name), chart)?;
            }
            fs::write(folder.join(self.name), &self.text)
        };
        write().map_err(|error: io::Error| format!("{}: {error}", folder.display()))
    }
}
