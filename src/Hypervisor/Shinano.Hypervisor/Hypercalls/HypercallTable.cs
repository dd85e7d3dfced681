using Shinano.XenAbi;

namespace Shinano.Hypervisor.Hypercalls;

/// <summary>A domain's hypercalls by number, with a count of each; filled by the subsystems when the domain is assembled.</summary>
public sealed class HypercallTable
{
    /// <summary>A handler's result that means: execute the hypercall instruction again (RIP goes back to it), RAX unchanged.</summary>
    public const long Restart = long.MinValue;

    /// <summary>A handler's result that means: every register is as the guest shall find it, RAX too (iret, whose RAX may be any number).</summary>
    public const long RegistersLoaded = long.MinValue + 1;

    private const int Size = 64;
    private readonly HypercallHandler?[] _handlers = new HypercallHandler?[Size];
    private readonly long[] _counts = new long[Size];
    private long _unknown;
    private long _unknownOperations;

    /// <summary>Calls refused with -ENOSYS because no handler knows the number.</summary>
    public long UnknownCount => Volatile.Read(ref _unknown);

    /// <summary>Calls that a handler answered with -ENOSYS: operations that it does not know.</summary>
    public long UnknownOperationCount => Volatile.Read(ref _unknownOperations);

    /// <summary>Times the hypercall was made.</summary>
    public long CountOf(HypercallNumber number) => Volatile.Read(ref _counts[(int)number]);

    /// <summary>Installs the handler of a number, once.</summary>
    public void Add(HypercallNumber number, HypercallHandler handler)
    {
        if (_handlers[(int)number] is not null)
        {
            throw new InvalidOperationException($"hypercall {number} has two handlers");
        }

        _handlers[(int)number] = handler;
    }

    /// <summary>Calls the handler; -ENOSYS, counted, when there is none.</summary>
    public long Call(PvVcpu vcpu, ulong number, in HypercallArguments arguments)
    {
        if (number >= Size || _handlers[number] is not { } handler)
        {
            Interlocked.Increment(ref _unknown);
            return -Errno.NoSystemCall;
        }

        Interlocked.Increment(ref _counts[number]);
        long result = handler(vcpu, in arguments);
        if (result == -Errno.NoSystemCall)
        {
            Interlocked.Increment(ref _unknownOperations);
        }

        return result;
    }
}
