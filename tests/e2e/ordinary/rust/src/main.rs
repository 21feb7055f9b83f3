//! Answers `rust` to every request; `app health` asks whether it does.

use std::io::{Read, Result, Write};
use std::net::{TcpListener, TcpStream};

fn main() -> Result<()> {
    if std::env::args().any(|word| word == "health") {
        return TcpStream::connect("127.0.0.1:80").map(drop);
    }
    for stream in TcpListener::bind("0.0.0.0:80")?.incoming() {
        let mut stream = stream?;
        let mut request = [0; 1024];
        if stream.read(&mut request)? > 0 {
            stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nrust\n")?;
        }
    }
    Ok(())
}
