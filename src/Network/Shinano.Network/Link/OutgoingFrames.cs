namespace Shinano.Network.Link;

/// <summary>
/// Frames that wait to be sent, in the bytes of the stream. Whoever forwards appends and never waits; one task takes all there is at once, so that many
/// frames go in one system call. What does not fit is refused. Thread-safe; one taker.
/// </summary>
/// <param name="capacity">Bytes that wait at most, beside those under way.</param>
public sealed class OutgoingFrames(int capacity)
{
    private const int FirstSize = 64 << 10;

    private readonly Lock _lock = new();
    private readonly AsyncSignal _filled = new();
    private readonly AsyncSignal _taken = new();
    private byte[] _filling = new byte[FirstSize];
    private byte[] _sending = new byte[FirstSize];
    private int _length;

    /// <summary>Appends a header and a frame; false when there is no room.</summary>
    public bool TryAppend(ReadOnlySpan<byte> header, ReadOnlySpan<byte> frame)
    {
        int needed = header.Length + frame.Length;
        bool wasEmpty;
        lock (_lock)
        {
            if (needed > capacity - _length)
            {
                return false;
            }

            if (_filling.Length < _length + needed)
            {
                Array.Resize(ref _filling, Math.Max(_length + needed, Math.Min(capacity, _filling.Length * 2)));
            }

            header.CopyTo(_filling.AsSpan(_length));
            frame.CopyTo(_filling.AsSpan(_length + header.Length));
            wasEmpty = _length == 0;
            _length += needed;
        }

        if (wasEmpty)
        {
            _filled.Set();
        }

        return true;
    }

    /// <summary>Waits until there are bytes and takes them all; they are the taker's until the next call.</summary>
    public async ValueTask<ReadOnlyMemory<byte>> TakeAsync(CancellationToken cancellation)
    {
        while (true)
        {
            long seen = _filled.Version;
            lock (_lock)
            {
                if (_length > 0)
                {
                    (_filling, _sending) = (_sending, _filling);
                    ReadOnlyMemory<byte> bytes = _sending.AsMemory(0, _length);
                    _length = 0;
                    _taken.Set();
                    return bytes;
                }
            }

            await _filled.WaitAsync(seen, cancellation).ConfigureAwait(false);
        }
    }

    /// <summary>Completes once there is room for a frame of any length: for a sender that can be made to wait.</summary>
    public async ValueTask WaitForRoomAsync(CancellationToken cancellation)
    {
        while (true)
        {
            long seen = _taken.Version;
            lock (_lock)
            {
                if (_length <= capacity - LinkFormat.MaximumFrame - 16)
                {
                    return;
                }
            }

            await _taken.WaitAsync(seen, cancellation).ConfigureAwait(false);
        }
    }

    /// <summary>Forgets what waits.</summary>
    public void Clear()
    {
        lock (_lock)
        {
            _length = 0;
            _taken.Set();
        }
    }
}
