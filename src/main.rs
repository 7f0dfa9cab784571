//! The `headwater` program: arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    headwater::main()
}
