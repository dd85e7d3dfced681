using Iced.Intel;

namespace Shinano.Cpu.HostCode;

/// <summary>
/// The vector instructions that access memory by element: gathers, masked loads and masked stores. They cannot run in a stub, since a masked-off
/// element must not fault; here they are in C#, over the caller's memory.
/// </summary>
/// <remarks>
/// Sources: SDM 2B MASKMOVDQU; SDM 2C VMASKMOV, VPMASKMOV, VGATHER*, VPGATHER*. A masked load or store that faults changes nothing; a gather that faults
/// has written the elements before and cleared their masks. The decoder has refused gathers whose registers are not all different. Equal instructions
/// (addresses aside) are equal records.
/// </remarks>
public sealed unsafe record ElementwiseInstruction
{
    private enum Form
    {
        Gather,
        MaskedLoad,
        MaskedStore,
        ByteStore,
    }

    private readonly Form _form;
    private readonly int _elementSize;
    private readonly int _count;
    private readonly int _data;
    private readonly int _mask;
    private readonly int _index;
    private readonly int _indexSize;
    private readonly int _scale;
    private readonly bool _mmx;
    private readonly bool _address32;

    private ElementwiseInstruction(Form form, in Instruction instruction)
    {
        _form = form;
        Unit = HostUnit.Avx;
        _address32 = instruction.MemoryBase.GetSize() == 4 || instruction.Op0Kind == OpKind.MemorySegEDI
            || (instruction.MemoryBase == Register.None && instruction.MemoryDisplSize == 4);
        bool avx2 = instruction.CpuidFeatures.Contains(CpuidFeature.AVX2);
        Feature = avx2 ? CpuFeatures.Avx2 : CpuFeatures.Avx;
        switch (form)
        {
            case Form.Gather:
                _elementSize = instruction.MemorySize.GetElementSize() == 8 ? 8 : 4;
                _indexSize = instruction.IsVsib64 ? 8 : 4;
                int lanes = (instruction.Op0Register.IsYMM() ? 32 : 16) / _elementSize;
                int indices = (instruction.MemoryIndex.IsYMM() ? 32 : 16) / _indexSize;
                _count = Math.Min(lanes, indices);
                _data = instruction.Op0Register.GetNumber();
                _mask = instruction.Op2Register.GetNumber();
                _index = instruction.MemoryIndex.GetNumber();
                _scale = instruction.MemoryIndexScale;
                break;
            case Form.MaskedLoad or Form.MaskedStore:
                Register data = form == Form.MaskedLoad ? instruction.Op0Register : instruction.Op2Register;
                _elementSize = instruction.Mnemonic is Mnemonic.Vmaskmovpd or Mnemonic.Vpmaskmovq ? 8 : 4;
                _count = (data.IsYMM() ? 32 : 16) / _elementSize;
                _data = data.GetNumber();
                _mask = instruction.Op1Register.GetNumber();
                break;
            default:
                _mmx = instruction.Mnemonic == Mnemonic.Maskmovq;
                _elementSize = 1;
                _count = _mmx ? 8 : 16;
                _data = instruction.Op1Register.GetNumber();
                _mask = instruction.Op2Register.GetNumber();
                Unit = _mmx ? HostUnit.Mmx : instruction.Mnemonic == Mnemonic.Maskmovdqu ? HostUnit.Sse : HostUnit.Avx;
                Feature = Unit == HostUnit.Avx ? CpuFeatures.Avx : CpuFeatures.None;
                break;
        }
    }

    /// <summary>Which part of the CPU it uses.</summary>
    public HostUnit Unit { get; }

    /// <summary>The group that must be advertised.</summary>
    public CpuFeatures Feature { get; }

    /// <summary>Recognizes an instruction of this kind.</summary>
    public static bool TryCreate(in Instruction instruction, out ElementwiseInstruction created)
    {
        Form? form = instruction.Mnemonic switch
        {
            _ when instruction.Code.ToOpCode().Encoding is not (EncodingKind.Legacy or EncodingKind.VEX) => null,
            Mnemonic.Maskmovq or Mnemonic.Maskmovdqu or Mnemonic.Vmaskmovdqu => Form.ByteStore,
            Mnemonic.Vmaskmovps or Mnemonic.Vmaskmovpd or Mnemonic.Vpmaskmovd or Mnemonic.Vpmaskmovq =>
                instruction.Op0Kind == OpKind.Memory ? Form.MaskedStore : Form.MaskedLoad,
            Mnemonic.Vgatherdps or Mnemonic.Vgatherdpd or Mnemonic.Vgatherqps or Mnemonic.Vgatherqpd => Form.Gather,
            Mnemonic.Vpgatherdd or Mnemonic.Vpgatherdq or Mnemonic.Vpgatherqd or Mnemonic.Vpgatherqq => Form.Gather,
            _ => null,
        };
        created = form is Form known ? new ElementwiseInstruction(known, instruction) : null!;
        return form is not null;
    }

    /// <summary>Executes the instruction.</summary>
    /// <param name="state">The vCPU; RIP is not moved.</param>
    /// <param name="offset">Effective address of the operand without a vector index: base register and displacement.</param>
    /// <param name="segmentBase">Base of the operand's segment.</param>
    /// <param name="memory">Where the elements are.</param>
    /// <returns><see cref="HostStatus.Done"/>, <see cref="HostStatus.X87Pending"/>, or null when an access faulted.</returns>
    public HostStatus? Execute<TMemory>(CpuState* state, ulong offset, ulong segmentBase, ref TMemory memory)
        where TMemory : IElementMemory, allows ref struct
    {
        if (_mmx && X87Environment.IsPending(state))
        {
            return HostStatus.X87Pending;
        }

        bool done = _form switch
        {
            Form.Gather => Gather(state, offset, segmentBase, ref memory),
            Form.MaskedLoad => Load(state, offset, segmentBase, ref memory),
            _ => Store(state, offset, segmentBase, ref memory),
        };
        if (!done)
        {
            return null;
        }

        if (_mmx)
        {
            X87Environment.EnterMmx(state);
        }

        return HostStatus.Done;
    }

    private bool Gather<TMemory>(CpuState* state, ulong offset, ulong segmentBase, ref TMemory memory)
        where TMemory : IElementMemory, allows ref struct
    {
        for (int i = 0; i < _count; i++)
        {
            if (IsSelected(state, i))
            {
                ulong index = Element(state, _index, _indexSize, i);
                if (_indexSize == 4)
                {
                    index = (ulong)(int)index;
                }

                if (!memory.TryLoad(segmentBase + Effective(offset + (index * (ulong)_scale)), _elementSize, out ulong value))
                {
                    return false;
                }

                SetElement(state, _data, i, value);
            }

            SetElement(state, _mask, i, 0);
        }

        ClearFrom(state, _data, _count * _elementSize);
        ClearFrom(state, _mask, 0);
        MarkInUse(state);
        return true;
    }

    private bool Load<TMemory>(CpuState* state, ulong offset, ulong segmentBase, ref TMemory memory)
        where TMemory : IElementMemory, allows ref struct
    {
        Span<ulong> values = stackalloc ulong[8];
        values.Clear();
        for (int i = 0; i < _count; i++)
        {
            if (IsSelected(state, i) && !memory.TryLoad(segmentBase + Effective(offset + (ulong)(i * _elementSize)), _elementSize, out values[i]))
            {
                return false;
            }
        }

        for (int i = 0; i < _count; i++)
        {
            SetElement(state, _data, i, values[i]);
        }

        ClearFrom(state, _data, _count * _elementSize);
        MarkInUse(state);
        return true;
    }

    private bool Store<TMemory>(CpuState* state, ulong offset, ulong segmentBase, ref TMemory memory)
        where TMemory : IElementMemory, allows ref struct
    {
        for (int i = 0; i < _count; i++)
        {
            if (IsSelected(state, i) && !memory.TryProbeStore(segmentBase + Effective(offset + (ulong)(i * _elementSize)), _elementSize))
            {
                return false;
            }
        }

        for (int i = 0; i < _count; i++)
        {
            if (IsSelected(state, i)
                && !memory.TryStore(segmentBase + Effective(offset + (ulong)(i * _elementSize)), _elementSize, Element(state, _data, _elementSize, i)))
            {
                return false;
            }
        }

        return true;
    }

    private ulong Effective(ulong offset) => _address32 ? (uint)offset : offset;

    // An element takes part when its mask's top bit is set.
    private bool IsSelected(CpuState* state, int i) => (Element(state, _mask, _elementSize, i) >> ((8 * _elementSize) - 1)) != 0;

    private ulong Element(CpuState* state, int register, int size, int i)
    {
        byte* place = Place(state, register, i * size);
        return size switch { 1 => *place, 4 => *(uint*)place, _ => *(ulong*)place };
    }

    private void SetElement(CpuState* state, int register, int i, ulong value)
    {
        byte* place = Place(state, register, i * _elementSize);
        if (_elementSize == 4)
        {
            *(uint*)place = (uint)value;
        }
        else
        {
            *(ulong*)place = value;
        }
    }

    // SAFETY: register is below 16 (8 for MMX) and offset below 32 (8): the place lies in the XSAVE image.
    private byte* Place(CpuState* state, int register, int offset)
    {
        if (_mmx)
        {
            return X87Environment.MmxRegister(state, register) + offset;
        }

        return offset < 16
            ? state->Xsave + CpuState.XmmOffset + (register * 16) + offset
            : state->Xsave + CpuState.YmmHighOffset + (register * 16) + offset - 16;
    }

    private void ClearFrom(CpuState* state, int register, int offset)
    {
        for (; offset < 32; offset += 4)
        {
            *(uint*)Place(state, register, offset) = 0;
        }
    }

    private static void MarkInUse(CpuState* state) => state->Xsave[CpuState.XstateBvOffset] |= 6;
}
