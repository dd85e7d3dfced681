using System.Text;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Hypercalls;

/// <summary>
/// console_io: what a guest writes goes to the hypervisor's log, line by line and with a rate limit, as with a Xen built for debugging. Reading is
/// for domain 0. Source: public/xen.h: CONSOLEIO_*.
/// </summary>
public sealed class ConsoleHypercalls
{
    private const int Chunk = 128;

    /// <summary>Served before the call is restarted with the rest.</summary>
    private const int ChunksPerCall = 32;
    private const int LineLimit = 256;
    private const double Burst = 16384;
    private const double BytesPerSecond = 4096;
    private readonly Domain _domain;
    private readonly TimeProvider _time;
    private readonly StringBuilder _line = new();
    private readonly Lock _lock = new();
    private double _allowance = Burst;
    private long _lastRefill;

    public ConsoleHypercalls(Domain domain, TimeProvider time)
    {
        _domain = domain;
        _time = time;
        _lastRefill = time.GetTimestamp();
        domain.Hypercalls.Add(HypercallNumber.ConsoleIo, Serve);
    }

    /// <summary>Bytes that were dropped because there were too many.</summary>
    public long Dropped { get; private set; }

    private long Serve(PvVcpu vcpu, in HypercallArguments arguments)
    {
        switch ((uint)arguments.A1)
        {
            case 0:
                return Write(vcpu, (uint)arguments.A2, arguments.A3);
            case 1:
                return -Errno.Perm;
            default:
                return -Errno.NoSystemCall;
        }
    }

    private long Write(PvVcpu vcpu, uint count, ulong address)
    {
        Span<byte> bytes = stackalloc byte[Chunk];
        for (int i = 0; count > 0; i++)
        {
            if (i == ChunksPerCall)
            {
                vcpu.SetArgument(1, count);
                vcpu.SetArgument(2, address);
                return HypercallTable.Restart;
            }

            Span<byte> part = bytes[..(int)Math.Min(count, Chunk)];
            if (!vcpu.Guest.TryRead(address, part))
            {
                return -Errno.Fault;
            }

            lock (_lock)
            {
                Append(part);
            }

            count -= (uint)part.Length;
            address += (ulong)part.Length;
        }

        return 0;
    }

    private void Append(ReadOnlySpan<byte> bytes)
    {
        long now = _time.GetTimestamp();
        _allowance = Math.Min(Burst, _allowance + (_time.GetElapsedTime(_lastRefill, now).TotalSeconds * BytesPerSecond));
        _lastRefill = now;
        foreach (byte each in bytes)
        {
            if (_allowance < 1)
            {
                Dropped++;
                continue;
            }

            _allowance--;
            if (each == '\n' || _line.Length == LineLimit)
            {
                _domain.Log.Write($"({_domain.Id}) {_line}");
                _line.Clear();
            }

            if (each is >= 0x20 and < 0x7F or (byte)'\t')
            {
                _line.Append((char)each);
            }
        }
    }
}
