namespace Shinano.Cpu.HostCode;

/// <summary>Guest memory as <see cref="ElementwiseInstruction"/> needs it. Each method returns false when the access faults; the caller keeps the particulars.</summary>
public interface IElementMemory
{
    /// <summary>Loads 1, 4 or 8 bytes, zero-extended.</summary>
    bool TryLoad(ulong linear, int size, out ulong value);

    /// <summary>Whether a store of so many bytes would succeed; faults like one when not.</summary>
    bool TryProbeStore(ulong linear, int size);

    /// <summary>Stores 1, 4 or 8 bytes.</summary>
    bool TryStore(ulong linear, int size, ulong value);
}
