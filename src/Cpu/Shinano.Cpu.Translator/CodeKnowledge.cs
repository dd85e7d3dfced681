using Shinano.Cpu.Interpreter;
using Shinano.Memory;

namespace Shinano.Cpu.Translator;

/// <summary>
/// What one vCPU knows of translated code: its jump caches, and which page mappings hold (<see cref="NativeState.ValidMappings"/>). It depends on page tables, so it
/// is forgotten with the look-aside tables. The vCPU's own thread only.
/// </summary>
internal sealed unsafe class CodeKnowledge
{
    private readonly NativeState* _state;
    private readonly PageMappings _mappings;
    private readonly Lock _gate;

    /// <summary>Per context and index of the jump cache: the frame of the code; the vCPU's state has no room for what only C# looks at.</summary>
    private readonly ulong[][] _frames = [new ulong[NativeState.JumpEntries], new ulong[NativeState.JumpEntries]];
    private readonly List<int>[] _jumps = [[], []];
    private readonly List<(int Number, ulong Rip, ulong Frame)>[] _valid = [[], []];

    /// <summary>Which numbers are in <see cref="_valid"/>, so that a guest that flushes one page again and again does not make it grow.</summary>
    private readonly bool[] _isListed = new bool[NativeState.Mappings];

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
        }
    }

    /// <summary>The code for an address; 0 when it is not in the jump cache.</summary>
    public nint JumpTo(ulong rip, int context)
    {
        ulong* entry = Entry(context, JumpCacheProbe.IndexOf(rip));
        return entry[0] == rip ? (nint)entry[1] : 0;
    }

    /// <summary>Enters a block, which the current page tables lead to, into its context's jump cache.</summary>
    public void NoteJump(TranslatedBlock block)
    {
        int context = block.Mode.Context;
        int index = JumpCacheProbe.IndexOf(block.Rip);
        ulong* entry = Entry(context, index);
        if (entry[1] == 0)
        {
            _jumps[context].Add(index);
        }

        entry[0] = block.Rip;
        entry[1] = (ulong)block.Code;
        _frames[context][index] = block.Frame;
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
                _valid[context].Add((number, rip, frame));
            }
        }
    }

    /// <summary>Forgets all of a context.</summary>
    public void Forget(int context)
    {
        foreach (int index in _jumps[context])
        {
            Empty(context, index);
        }

        _jumps[context].Clear();
        foreach ((int number, _, _) in _valid[context])
        {
            _state->ValidMappings[number] = 0;
            _isListed[number] = false;
        }

        _valid[context].Clear();
    }

    /// <summary>Forgets what depends on addresses with bit 63 clear, or on one of the frames.</summary>
    public void ForgetButUpperHalf(int context, FrameFilter changed)
    {
        _jumps[context].RemoveAll(index =>
        {
            bool keeps = (long)Entry(context, index)[0] < 0 && !changed.MayContain(_frames[context][index]);
            if (!keeps)
            {
                Empty(context, index);
            }

            return !keeps;
        });
        _valid[context].RemoveAll(known =>
        {
            bool keeps = (long)known.Rip < 0 && !changed.MayContain(known.Frame);
            if (!keeps)
            {
                _state->ValidMappings[known.Number] = 0;
                _isListed[known.Number] = false;
            }

            return !keeps;
        });
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
            foreach (int index in _jumps[context])
            {
                if (Entry(context, index)[0] >> GuestMemory.PageShift == page)
                {
                    Disable(context, index);
                }
            }
        }
    }

    private ulong* Entry(int context, int index) => _state->JumpCache + (2 * ((NativeState.JumpEntries * context) + index));

    /// <summary>Gives an entry an address that belongs to another one, so that no jump finds it; it keeps its place in the list.</summary>
    private void Disable(int context, int index) => Entry(context, index)[0] = (ulong)(index ^ 1);

    private void Empty(int context, int index)
    {
        Disable(context, index);
        Entry(context, index)[1] = 0;
    }
}
