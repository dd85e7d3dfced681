namespace Shinano.Devices.Paravirtual.Console;

/// <summary>
/// The latest output of a console, for any number of readers, each at a place of its own in the stream. A reader that falls behind by more than the
/// capacity loses the oldest bytes; nobody waits for readers. Any thread.
/// </summary>
public sealed class ConsoleBacklog
{
    private readonly byte[] _bytes;
    private readonly GuestSignal _more = new();
    private readonly Lock _lock = new();
    private long _end;
    private bool _completed;

    /// <param name="capacity">Bytes kept.</param>
    public ConsoleBacklog(int capacity)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(capacity);
        _bytes = new byte[capacity];
    }

    /// <summary>Bytes written so far.</summary>
    public long Length
    {
        get
        {
            lock (_lock)
            {
                return _end;
            }
        }
    }

    /// <summary>Adds output; the oldest is dropped to make room.</summary>
    public void Append(ReadOnlySpan<byte> output)
    {
        lock (_lock)
        {
            if (_completed)
            {
                return;
            }

            long end = _end + output.Length;
            ReadOnlySpan<byte> kept = output[Math.Max(0, output.Length - _bytes.Length)..];
            int offset = (int)((end - kept.Length) % _bytes.Length);
            int first = Math.Min(kept.Length, _bytes.Length - offset);
            kept[..first].CopyTo(_bytes.AsSpan(offset));
            kept[first..].CopyTo(_bytes);
            _end = end;
        }

        _more.Set();
    }

    /// <summary>There is no more output: readers get the rest and then the end.</summary>
    public void Complete()
    {
        lock (_lock)
        {
            _completed = true;
        }

        _more.Set();
    }

    /// <summary>Reads on from a place in the stream, 0 being its start; moves it past what was read and past what was lost.</summary>
    /// <returns>Bytes read; 0 when the reader has all there is.</returns>
    public int Read(ref long place, Span<byte> destination)
    {
        lock (_lock)
        {
            place = Math.Max(place, _end - _bytes.Length);
            int count = (int)Math.Min(_end - place, destination.Length);
            int offset = (int)(place % _bytes.Length);
            int first = Math.Min(count, _bytes.Length - offset);
            _bytes.AsSpan(offset, first).CopyTo(destination);
            _bytes.AsSpan(0, count - first).CopyTo(destination[first..]);
            place += count;
            return count;
        }
    }

    /// <summary>Waits until there is something behind a place.</summary>
    /// <returns>False when there is nothing and will be nothing.</returns>
    public async ValueTask<bool> WaitAsync(long place, CancellationToken cancellation)
    {
        while (true)
        {
            long seen = _more.Version;
            lock (_lock)
            {
                if (place < _end || _completed)
                {
                    return place < _end;
                }
            }

            await _more.WaitAsync(seen, cancellation).ConfigureAwait(false);
        }
    }
}
