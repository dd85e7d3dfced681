using Shinano.Cpu.Interpreter;
using Shinano.Memory;

namespace Shinano.Cpu.Translator;

/// <summary>
/// What one vCPU knows of translated code: its jump caches, and which page mappings hold (<see cref="NativeState.ValidMappings"/>). It depends on page tables, so it
/// is forgotten with the look-aside tables. The vCPU's own thread only.
/// </summary>
internal sealed unsafe class CodeKnowledge
{
    private const int Lists = Core.Contexts * SlotLists.Halves;

    private readonly NativeState* _state;
    private readonly PageMappings _mappings;
    private readonly Lock _gate;

    /// <summary>Per context and index of the jump cache: the frame of the code; the vCPU's state has no room for what only C# looks at.</summary>
    private readonly ulong[][] _frames = [new ulong[NativeState.JumpEntries], new ulong[NativeState.JumpEntries]];

    /// <summary>Entries of the jump cache in use, and mappings that hold; of each half of each context.</summary>
    private readonly SlotList[] _jumps = new SlotList[Lists];
    private readonly List<(int Number, ulong Frame)>[] _valid = [.. Enumerable.Range(0, Lists).Select(static _ => new List<(int Number, ulong Frame)>())];

    /// <summary>The frames that these depend on.</summary>
    private readonly FrameFilter[] _framesOf = [.. Enumerable.Range(0, Lists).Select(static _ => new FrameFilter())];

    /// <summary>Which numbers are in <see cref="_valid"/>, so that a guest that flushes one page again and again does not make it grow.</summary>
    private readonly bool[] _isListed = new bool[NativeState.Mappings];

    /// <summary>Per context: whether its cache of code without groups has an entry.</summary>
    private readonly bool[] _hasUngrouped = new bool[Core.Contexts];

    /// <param name="gate">Guards <paramref name="mappings"/>.</param>
    public CodeKnowledge(NativeState* state, PageMappings mappings, Lock gate)
    {
        _state = state;
        _mappings = mappings;
        _gate = gate;
        for (int context = 0; context < Core.Contexts; context++)
        {
            for (int index = 0; index < NativeState.JumpEntries; index++)
            {
                Empty(context, index);
            }

            EmptyUngrouped(context);
        }
    }

    /// <summary>The code for an address; 0 when it is not in the jump cache.</summary>
    public nint JumpTo(ulong rip, int context)
    {
        ulong* entry = Entry(context, JumpCacheProbe.IndexOf(rip, NativeState.JumpEntries));
        return entry[0] == rip ? (nint)entry[1] : 0;
    }

    /// <summary>Enters a block, which the current page tables lead to, into its context's jump cache.</summary>
    public void NoteJump(TranslatedBlock block)
    {
        int context = block.Mode.Context;
        int index = JumpCacheProbe.IndexOf(block.Rip, NativeState.JumpEntries);
        ulong* entry = Entry(context, index);
        _jumps[ListOf(context, block.Rip)].Add(index);
        entry[0] = block.Rip;
        entry[1] = (ulong)block.Code;
        _frames[context][index] = block.Frame;
        _framesOf[ListOf(context, block.Rip)].Add(block.Frame);
    }

    /// <summary>Enters a block without groups, which the current page tables lead to, into its context's cache of them.</summary>
    public void NoteUngrouped(TranslatedBlock block)
    {
        int context = block.Mode.Context;
        ulong* entry = UngroupedEntry(context, JumpCacheProbe.IndexOf(block.Rip, NativeState.UngroupedEntries));
        entry[0] = block.Rip;
        entry[1] = (ulong)block.Code;
        _hasUngrouped[context] = true;
    }

    /// <summary>The current page tables lead from an address to a frame: the mapping of that number, if it stands for just that, holds.</summary>
    /// <returns>Whether it does.</returns>
    public bool NoteMapping(int number, ulong rip, ulong frame, int context)
    {
        lock (_gate)
        {
            if (!_mappings.Is(number, rip >> GuestMemory.PageShift, frame))
            {
                return false;
            }
        }

        NoteNumbered(number, rip, frame, context);
        return true;
    }

    /// <summary><see cref="NoteMapping"/> of a number that is known to stand for just that.</summary>
    public void NoteNumbered(int number, ulong rip, ulong frame, int context)
    {
        if (_state->ValidMappings[number] == 0)
        {
            _state->ValidMappings[number] = 1;
            if (!_isListed[number])
            {
                _isListed[number] = true;
                _valid[ListOf(context, rip)].Add((number, frame));
                _framesOf[ListOf(context, rip)].Add(frame);
            }
        }
    }

    /// <summary>Forgets all of a context.</summary>
    public void Forget(int context)
    {
        ForgetUngrouped(context);
        for (int half = 0; half < SlotLists.Halves; half++)
        {
            ForgetHalf(context, half);
        }
    }

    /// <summary>Forgets what depends on one of the frames, and on addresses with bit 63 clear unless these are to be kept.</summary>
    public void ForgetChanged(int context, FrameFilter changed, bool keepsLowerHalf)
    {
        ForgetUngrouped(context);
        for (int half = 0; half < SlotLists.Halves; half++)
        {
            if (half == 0 && !keepsLowerHalf)
            {
                ForgetHalf(context, half);
            }
            else if (!changed.IsEmpty)
            {
                ForgetChangedHalf(context, half, changed);
            }
        }
    }

    /// <summary>Forgets what depends on a linear page, if translated code has to do with it.</summary>
    public void ForgetPage(ulong page)
    {
        if (!_mappings.MayKnow(page))
        {
            return;
        }

        lock (_gate)
        {
            // They stay in the lists: forgetting twice does no harm.
            foreach (int number in _mappings.Of(page))
            {
                _state->ValidMappings[number] = 0;
            }
        }

        for (int context = 0; context < Core.Contexts; context++)
        {
            ForgetUngrouped(context);
            ref SlotList jumps = ref _jumps[ListOf(context, page << GuestMemory.PageShift)];
            for (int i = 0; i < jumps.Count; i++)
            {
                if (Entry(context, jumps[i])[0] >> GuestMemory.PageShift == page)
                {
                    Empty(context, jumps[i]);
                }
            }
        }
    }

    private void ForgetHalf(int context, int half)
    {
        int list = (SlotLists.Halves * context) + half;
        _framesOf[list].Clear();
        ref SlotList jumps = ref _jumps[list];
        for (int i = jumps.TakeAll() - 1; i >= 0; i--)
        {
            int index = jumps.Take(i);
            if (IsOfHalf(context, index, half))
            {
                Empty(context, index);
            }
        }

        List<(int Number, ulong Frame)> valid = _valid[list];
        foreach ((int number, _) in valid)
        {
            Invalidate(number);
        }

        valid.Clear();
    }

    private void ForgetChangedHalf(int context, int half, FrameFilter changed)
    {
        int list = (SlotLists.Halves * context) + half;
        if (!_framesOf[list].MayShare(changed))
        {
            return;
        }

        _framesOf[list].Clear();
        ref SlotList jumps = ref _jumps[list];
        int count = jumps.TakeAll();
        for (int i = 0; i < count; i++)
        {
            int index = jumps.Take(i);
            if (!IsOfHalf(context, index, half))
            {
                continue;
            }

            if (changed.MayContain(_frames[context][index]))
            {
                Empty(context, index);
            }
            else
            {
                jumps.Add(index);
                _framesOf[list].Add(_frames[context][index]);
            }
        }

        _valid[list].RemoveAll(known =>
        {
            bool goes = changed.MayContain(known.Frame);
            if (goes)
            {
                Invalidate(known.Number);
            }
            else
            {
                _framesOf[list].Add(known.Frame);
            }

            return goes;
        });
    }

    /// <summary>Few and soon found again: nothing tells which of them depend on what.</summary>
    private void ForgetUngrouped(int context)
    {
        if (_hasUngrouped[context])
        {
            EmptyUngrouped(context);
        }
    }

    private void EmptyUngrouped(int context)
    {
        for (int index = 0; index < NativeState.UngroupedEntries; index++)
        {
            Empty(UngroupedEntry(context, index), index);
        }

        _hasUngrouped[context] = false;
    }

    private void Invalidate(int number)
    {
        _state->ValidMappings[number] = 0;
        _isListed[number] = false;
    }

    private static int ListOf(int context, ulong linear) => (SlotLists.Halves * context) + SlotLists.HalfOf(linear);

    private bool IsOfHalf(int context, int index, int half) => SlotLists.HalfOf(Entry(context, index)[0]) == half;

    private ulong* Entry(int context, int index) => _state->JumpCache + (2 * ((NativeState.JumpEntries * context) + index));

    private ulong* UngroupedEntry(int context, int index) => _state->UngroupedCache + (2 * ((NativeState.UngroupedEntries * context) + index));

    private void Empty(int context, int index) => Empty(Entry(context, index), index);

    /// <summary>Gives an entry an address that belongs to another one, so that no jump finds it.</summary>
    private static void Empty(ulong* entry, int index)
    {
        entry[0] = (ulong)(index ^ 1);
        entry[1] = 0;
    }
}
