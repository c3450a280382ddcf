//! The control tool.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use dhcp_userspace::control::cli::{Arguments, run};
use dhcp_userspace::control::client::ClientError;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut out = io::BufWriter::new(io::stdout().lock());
    let result = run(&arguments, &mut out).and_then(|()| Ok(out.flush()?));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read the output (say, `head`) has seen enough.
        Err(ClientError::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("xdhcpctl: {error}");
            ExitCode::FAILURE
        }
    }
}
