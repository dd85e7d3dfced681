using System.Net.Sockets;
using System.Text;
using Shinano.Devices.Paravirtual.Console;

namespace Shinano.Devices.Paravirtual.Tests.Console;

public sealed class ConsoleTests : IAsyncLifetime
{
    private readonly RingPage _page = new();
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("shinano-console-");
    private readonly ConsoleBacklog _backlog = new(65536);
    private readonly SemaphoreSlim _notified = new(0);
    private readonly ConsoleBackEnd _backEnd;
    private readonly ConsoleServer _server;

    public ConsoleTests()
    {
        _backEnd = new ConsoleBackEnd(_backlog, new ConsoleLog(LogPath, 1000, 2));
        _backEnd.Connect(new HeldFrame(_page.Memory, RingPage.Frame), () => _notified.Release());
        _server = new ConsoleServer(SocketPath, _backlog, _backEnd.WriteInputAsync);
    }

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    private string LogPath => Path.Combine(_directory.FullName, "log", "guest.log");

    private string SocketPath => Path.Combine(_directory.FullName, "console");

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        _directory.Delete(recursive: true);
        _page.Dispose();
    }

    [Fact]
    public async Task Output_reaches_viewers_of_before_and_after_it()
    {
        using Socket early = await AttachAsync();
        await GuestWritesAsync("hello ");
        Assert.Equal("hello ", await ReadAsync(early, 6));
        using Socket late = await AttachAsync();
        Assert.Equal("hello ", await ReadAsync(late, 6));
        await GuestWritesAsync("world");
        Assert.Equal("world", await ReadAsync(late, 5));
        Assert.Equal("world", await ReadAsync(early, 5));
        Assert.Equal(11, _backEnd.BytesOut);
    }

    [Fact]
    public async Task Input_waits_for_room_and_arrives_whole()
    {
        using Socket viewer = await AttachAsync();
        byte[] sent = new byte[5000];
        new Random(1).NextBytes(sent);
        Task sending = viewer.SendAsync(sent, Cancellation).AsTask();
        List<byte> received = [];
        while (received.Count < sent.Length)
        {
            await _notified.WaitAsync(Cancellation);
            received.AddRange(_page.Take(0, 1024, 3072, 3076));
            _backEnd.GuestNotified();
        }

        await sending;
        Assert.Equal(sent, received);
        Assert.Equal(5000, _backEnd.BytesIn);
    }

    [Fact]
    public async Task A_half_closed_viewer_still_gets_output_and_then_eof()
    {
        using Socket viewer = await AttachAsync();
        viewer.Shutdown(SocketShutdown.Send);
        await GuestWritesAsync("more");
        Assert.Equal("more", await ReadAsync(viewer, 4));
        _page.Put(1024, 2048, 3084, "last words"u8);
        await StopAsync();
        Assert.Equal("last words", await ReadAsync(viewer, 10));
        Assert.Equal(0, await viewer.ReceiveAsync(new byte[1], Cancellation));
        Assert.False(File.Exists(SocketPath));
    }

    [Fact]
    public async Task Indices_without_sense_give_no_output_and_are_forgiven()
    {
        _page.Word(3084) = 5000;
        _backEnd.GuestNotified();
        _page.Word(3072) = 7;
        _page.Word(3076) = 0;
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
        {
            using CancellationTokenSource canceled = new();
            ValueTask writing = _backEnd.WriteInputAsync(new byte[] { 1 }, canceled.Token);
            await canceled.CancelAsync();
            await writing;
        });
        _page.Word(3084) = 0;
        await GuestWritesAsync("sane");
        Assert.Equal(4, _backlog.Length);
    }

    [Fact]
    public async Task The_socket_is_private()
    {
        using Socket viewer = await AttachAsync();
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(SocketPath));
    }

    [Fact]
    public async Task The_log_rotates_and_keeps_every_byte_of_the_kept_files()
    {
        for (int i = 0; i < 25; i++)
        {
            await GuestWritesAsync(new string((char)('a' + i), 100));
        }

        await StopAsync();
        string all = await File.ReadAllTextAsync(LogPath + ".2", Cancellation) + await File.ReadAllTextAsync(LogPath + ".1", Cancellation)
            + await File.ReadAllTextAsync(LogPath, Cancellation);
        Assert.Equal(string.Concat(Enumerable.Range(0, 25).Select(i => new string((char)('a' + i), 100))), all);
        Assert.Equal(1000, new FileInfo(LogPath + ".1").Length);
    }

    [Fact]
    public void A_log_that_cannot_be_written_drops_and_counts()
    {
        using ConsoleLog log = new(Path.Combine("/proc", "none", "log"), 1000, 1);
        log.Write("lost"u8);
        Assert.Equal(4, log.Dropped);
    }

    [Fact]
    public void A_reader_that_lags_loses_the_oldest_bytes_only()
    {
        ConsoleBacklog backlog = new(8);
        backlog.Append("0123456"u8);
        backlog.Append("789ab"u8);
        long place = 0;
        byte[] bytes = new byte[100];
        int count = backlog.Read(ref place, bytes);
        Assert.Equal("456789ab", Encoding.ASCII.GetString(bytes, 0, count));
        backlog.Append("a line longer than all of it"u8);
        count = backlog.Read(ref place, bytes);
        Assert.Equal("ll of it", Encoding.ASCII.GetString(bytes, 0, count));
        Assert.Equal(0, backlog.Read(ref place, bytes));
    }

    private async Task StopAsync()
    {
        await _backEnd.DisposeAsync();
        await _server.DisposeAsync();
    }

    private async Task<Socket> AttachAsync()
    {
        Socket viewer = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await viewer.ConnectAsync(new UnixDomainSocketEndPoint(SocketPath), Cancellation);
        return viewer;
    }

    /// <summary>Writes and waits until the back end has taken it.</summary>
    private async Task GuestWritesAsync(string text)
    {
        long before = _backlog.Length;
        _page.Put(1024, 2048, 3084, Encoding.ASCII.GetBytes(text));
        _backEnd.GuestNotified();
        for (long at = before; at < before + text.Length; at = _backlog.Length)
        {
            Assert.True(await _backlog.WaitAsync(at, Cancellation));
        }
    }

    private static async Task<string> ReadAsync(Socket viewer, int count)
    {
        byte[] bytes = new byte[count];
        for (int filled = 0; filled < count;)
        {
            int read = await viewer.ReceiveAsync(bytes.AsMemory(filled), Cancellation);
            Assert.NotEqual(0, read);
            filled += read;
        }

        return Encoding.ASCII.GetString(bytes);
    }
}
