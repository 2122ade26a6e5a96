//! Completion scripts: made by `clap_complete` from the command line, with what its generators leave out.
use crate::cli::Arguments;
use clap::CommandFactory;
use clap_complete::Shell;
use std::fmt::Write;

/// Bash takes `--wire=p` for three words, `--wire`, `=` and `p`: the values of an option belong to the word before `=`.
const BASH: &str = r#"
_atm_option_value() {
    if [[ "$3" == "=" ]]; then
        set -- "$1" "$2" "${COMP_WORDS[COMP_CWORD-2]}"
    fi
    _atm "$@"
}
complete -F _atm_option_value -o bashdefault -o default atm
"#;

/// The script for a shell, which completes commands, options and the values of every closed set.
pub(super) fn script(shell: Shell) -> String {
    // Its words may be an address and an amount too.
    let mut command = Arguments::command().mut_subcommand("client", |client| {
        client.mut_arg("words", |words| words.value_parser(["balance", "deposit", "withdraw"]))
    });
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "atm", &mut script);
    let mut script = String::from_utf8_lossy(&script).into_owned();
    match shell {
        Shell::Bash => script.push_str(BASH),
        // The values of arguments that are no options.
        Shell::Fish => {
            for subcommand in command.get_subcommands() {
                let positionals = subcommand.get_positionals();
                for value in positionals.flat_map(|argument| argument.get_possible_values()) {
                    let (name, value) = (subcommand.get_name(), value.get_name());
                    // A string never fails to take more.
                    let _ = writeln!(
                        script,
                        "complete -c atm -n \"__fish_atm_using_subcommand {name}\" -f -a {value}"
                    );
                }
            }
        }
        _ => {}
    }
    script
}
