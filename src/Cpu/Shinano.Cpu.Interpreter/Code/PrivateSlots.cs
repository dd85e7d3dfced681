using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Shinano.Memory;

namespace Shinano.Cpu.Interpreter;

/// <summary>
/// A vCPU's own decoded single instructions: those that cross a page (whose second half depends on the linear mapping, so that they cannot belong to a
/// frame) and those under single step. Their bytes are fetched and compared at each execution, which makes them immune to modification.
/// </summary>
internal sealed unsafe class PrivateSlots : IDisposable
{
    private const int SlotCount = 64;

    private readonly InterpreterCpu _cpu;
    private readonly Slot* _slots;
    private BlockDecoder? _decoder;
    private bool _disposed;

    public PrivateSlots(InterpreterCpu cpu)
    {
        _cpu = cpu;
        _slots = (Slot*)NativeMemory.AllocZeroed(SlotCount, (nuint)sizeof(Slot));
    }

    /// <summary>The op of the instruction at a linear address; the exit op when fetching it faults.</summary>
    public Op* Fetch(Core* c, ulong linear)
    {
        byte* bytes = stackalloc byte[16];
        int length = 0;
        ulong at = linear;
        while (length < BlockDecoder.MaxLength)
        {
            int chunk = Math.Min(BlockDecoder.MaxLength - length, GuestMemory.PageSize - (int)(at & (GuestMemory.PageSize - 1)));
            if (!FlowHandlers.TranslateFetch(c, at, out PageWalker.Translation found, out CpuExit fault)
                || !_cpu.Engine.Memory.TryGetHost(found.Physical, chunk, out byte* host))
            {
                // The second page matters only to an instruction that reaches into it.
                if (length > 0 && DecodedLength(bytes, length, linear) is int whole && whole <= length)
                {
                    break;
                }

                c->Cpu.Rip = linear;
                c->Exit = fault;
                c->HasExit = 1;
                return &c->ExitOp;
            }

            Unsafe.CopyBlockUnaligned(bytes + length, host, (uint)chunk);
            length += chunk;
            at += (ulong)chunk;
        }

        c->PageLinear = linear & ~(ulong)(GuestMemory.PageSize - 1);
        int offset = (int)(linear & (GuestMemory.PageSize - 1));
        Slot* slot = _slots + ((linear >> 12) & (SlotCount - 1));
        bytes[15] = (byte)length;
        ulong first = *(ulong*)bytes;
        ulong second = *(ulong*)(bytes + 8);
        if (slot->Used == 0 || slot->Offset != offset || slot->First != first || slot->Second != second)
        {
            _decoder ??= new BlockDecoder(_cpu.Engine.Selector);
            int count = _decoder.Decode(new ReadOnlySpan<byte>(bytes, length), offset, CodeMode.Long64, true, null, out _);
            for (int i = 0; i < count; i++)
            {
                (&slot->Op0)[i] = _decoder.Output[i];
            }

            slot->Used = 1;
            slot->Offset = offset;
            slot->First = first;
            slot->Second = second;
        }

        return &slot->Op0;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (!_disposed)
        {
            _disposed = true;
            NativeMemory.Free(_slots);
        }
    }

    /// <summary>Length of the instruction in the bytes at hand; null when they do not hold a whole one.</summary>
    private static int? DecodedLength(byte* bytes, int length, ulong linear)
    {
        var decoder = Iced.Intel.Decoder.Create(64, new ReadOnlySpan<byte>(bytes, length).ToArray(), linear);
        Iced.Intel.Instruction instruction = decoder.Decode();
        return instruction.IsInvalid && decoder.LastError == Iced.Intel.DecoderError.NoMoreBytes ? null : instruction.Length;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct Slot
    {
        public ulong First;
        public ulong Second;
        public int Offset;
        public int Used;
        public Op Op0;
        public Op Op1;
    }
}
