using System.Text;
using Shinano.Cpu;
using Shinano.SavedState;

namespace Shinano.Machine.Saving;

/// <summary>The beginning of a saved domain's machine section: what a machine for it must be, and where its clocks and rings were.</summary>
internal sealed record MachineHead
{
    /// <summary>Pages that the domain was built for at most.</summary>
    public required ulong BuiltPages { get; init; }

    public required int Vcpus { get; init; }

    /// <summary>What CPUID promised the guest.</summary>
    public required CpuFeatures Features { get; init; }

    /// <summary>The twelve letters of the CPU's maker, which the guest may have chosen its code by.</summary>
    public required string Vendor { get; init; }

    /// <summary>The guest's TSC, ticks.</summary>
    public required ulong GuestTsc { get; init; }

    /// <summary>The guest's system time, nanoseconds.</summary>
    public required ulong SystemTime { get; init; }

    public required ulong ConsoleFrame { get; init; }

    public required uint ConsolePort { get; init; }

    public required ulong StoreFrame { get; init; }

    /// <summary>0 for a domain without xenstore.</summary>
    public required uint StorePort { get; init; }

    public void Write(StateWriter writer)
    {
        writer.Mark("HEAD"u8);
        writer.Put(BuiltPages);
        writer.Put((uint)Vcpus);
        writer.Put((ulong)Features);
        writer.PutBytes(Encoding.ASCII.GetBytes(Vendor));
        writer.Put(GuestTsc);
        writer.Put(SystemTime);
        writer.Put(ConsoleFrame);
        writer.Put(ConsolePort);
        writer.Put(StoreFrame);
        writer.Put(StorePort);
    }

    /// <exception cref="SavedStateException">There is less than a head.</exception>
    public static MachineHead Read(StateReader reader)
    {
        reader.Expect("HEAD"u8);
        return new MachineHead
        {
            BuiltPages = reader.Get<ulong>(),
            Vcpus = (int)reader.GetCount(int.MaxValue),
            Features = (CpuFeatures)reader.Get<ulong>(),
            Vendor = Encoding.ASCII.GetString(reader.GetBytes(12).Span),
            GuestTsc = reader.Get<ulong>(),
            SystemTime = reader.Get<ulong>(),
            ConsoleFrame = reader.Get<ulong>(),
            ConsolePort = reader.Get<uint>(),
            StoreFrame = reader.Get<ulong>(),
            StorePort = reader.Get<uint>(),
        };
    }
}
