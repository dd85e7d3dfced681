using Shinano.Network.Control;
using Shinano.Network.Link;
using Shinano.Network.Switching;

namespace Shinano.Network.Switch;

/// <summary>Writes what passes a vnic to a file. Forwarding never waits for the disk: what finds no room in the queue is missing in the file, and counted.</summary>
internal sealed class VnicCapture : FrameTap, IAsyncDisposable
{
    private const int QueueBytes = 8 << 20;

    /// <summary>A capture that was forgotten does not fill the disk.</summary>
    private const long MaximumFile = 4L << 30;

    private readonly OutgoingFrames _queue = new(QueueBytes);
    private readonly FileStream _file;
    private readonly TimeProvider _clock;
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _writing;
    private long _frames;
    private long _missed;
    private long _length = PcapFormat.FileHeaderSize;

    /// <exception cref="IOException">The file is there, or cannot be made.</exception>
    public VnicCapture(string path, TimeProvider clock)
    {
        Path = path;
        _clock = clock;
        _file = new FileStream(path, new FileStreamOptions
        {
            Mode = FileMode.CreateNew,
            Access = FileAccess.Write,
            Share = FileShare.Read,
            BufferSize = 0,
            UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
        });
        _file.Write(PcapFormat.CreateFileHeader());
        _writing = Task.Run(WriteAsync);
    }

    public string Path { get; }

    /// <summary>What it holds so far.</summary>
    public CaptureSummary Summary => new(Path, Volatile.Read(ref _frames), Volatile.Read(ref _missed));

    /// <inheritdoc/>
    public override void Take(ReadOnlySpan<byte> frame)
    {
        Span<byte> header = stackalloc byte[PcapFormat.RecordHeaderSize];
        PcapFormat.WriteRecordHeader(header, _clock.GetUtcNow(), frame.Length);
        if (Interlocked.Add(ref _length, header.Length + frame.Length) <= MaximumFile && _queue.TryAppend(header, frame))
        {
            Interlocked.Increment(ref _frames);
        }
        else
        {
            Interlocked.Increment(ref _missed);
        }
    }

    /// <summary>Writes what waits and closes the file; nothing is taken any more.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        await _writing.ConfigureAwait(false);
        await _file.DisposeAsync().ConfigureAwait(false);
        _stop.Dispose();
    }

    private async Task WriteAsync()
    {
        try
        {
            while (true)
            {
                await _file.WriteAsync(await _queue.TakeAsync(_stop.Token).ConfigureAwait(false), CancellationToken.None).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException)
        {
            // Stopped; nothing waited.
        }
        catch (IOException e)
        {
            await Console.Error.WriteLineAsync($"capture {Path}: {e.Message}").ConfigureAwait(false);
        }
    }
}
