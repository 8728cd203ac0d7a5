//! [`Stream`]: what the client reads from and writes to. Its kinds of streams are given, and none of them may be ours; but
//! the runtime that it connects by may be, and says what a plain one is. So TLS, if there is any, lies within this one.

use std::future::Future;
use std::io::{IoSlice, IoSliceMut, Read, Result, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use async_rs::traits::Reactor;
use async_rs::util::RuntimeParts;
use async_rs::{Runtime, Tokio};
use futures_io::{AsyncRead, AsyncWrite};
use lapin::tcp::AsyncTcpStream;

use super::shallow::Shallow;

/// Tokio's, which the client knows.
type Plain = <Tokio as Reactor>::TcpStream;

/// See the module. What is read of it is [shallow](Shallow).
pub(super) struct Stream {
    inner: AsyncTcpStream<Plain>,
    shallow: Shallow,
}

impl From<AsyncTcpStream<Plain>> for Stream {
    fn from(inner: AsyncTcpStream<Plain>) -> Self {
        Self { inner, shallow: Shallow::default() }
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize>> {
        let read = Pin::new(&mut self.inner).poll_read(context, buffer);
        if let Poll::Ready(Ok(count)) = read {
            self.shallow.pass(&mut buffer[..count]);
        }
        read
    }

    fn poll_read_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Poll<Result<usize>> {
        let read = Pin::new(&mut self.inner).poll_read_vectored(context, buffers);
        if let Poll::Ready(Ok(mut left)) = read {
            for buffer in buffers {
                let count = left.min(buffer.len());
                self.shallow.pass(&mut buffer[..count]);
                left -= count;
            }
        }
        read
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &[u8]) -> Poll<Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, buffer)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(context, buffers)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.inner).poll_close(context)
    }
}

/// Tokio, whose streams are ours.
#[derive(Debug, Clone)]
pub(super) struct Streams(Tokio);

/// The runtime that this is called in, for the client.
pub(super) fn runtime() -> Runtime<RuntimeParts<Tokio, Streams>> {
    Runtime::new(RuntimeParts::new(Tokio::current(), Streams(Tokio::current())))
}

impl Reactor for Streams {
    type TcpStream = Stream;
    type Sleep = <Tokio as Reactor>::Sleep;

    fn register<H: Read + Write + AsFd + AsRawFd + Send + 'static>(
        &self,
        socket: H,
    ) -> Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        self.0.register(socket)
    }

    fn sleep(&self, time: Duration) -> Self::Sleep {
        self.0.sleep(time)
    }

    fn interval(&self, time: Duration) -> impl futures_util::Stream<Item = Instant> + Send + 'static {
        self.0.interval(time)
    }

    fn tcp_connect_addr(&self, address: SocketAddr) -> impl Future<Output = Result<Stream>> + Send + 'static {
        let connecting = self.0.tcp_connect_addr(address);
        async move { Ok(AsyncTcpStream::Plain(connecting.await?).into()) }
    }
}
