using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Shinano.Hypervisor.Mmu;
using Shinano.SavedState;

namespace Shinano.Hypervisor.Saving;

/// <summary>
/// A domain's machine space in a saved domain: which frames the guest has, their pseudo-physical numbers, and the pins. Types and counts are not saved: they
/// follow from pins, roots and descriptor tables, and are taken anew by the checks that hypercalls go through.
/// </summary>
internal static class SpaceState
{
    /// <summary>Frames of one list at most: 16 MiB, so that a domain of any size is saved in sections of a bounded one.</summary>
    public const int MostFrames = 1 << 20;

    /// <summary>Writes limits, shared frames and pins. The domain is paused. The guest's own frames are <see cref="SaveFrames"/>'s.</summary>
    public static void Save(StateWriter writer, MmuHypercalls mmu)
    {
        writer.Mark("SPAC"u8);
        lock (mmu.MmuLock)
        {
            // What is half taken apart or held for a hypercall's next try has no place in the file.
            do
            {
                mmu.Types.BeginWork();
            }
            while (!mmu.Types.Finish());

            MachineSpace space = mmu.Space;
            writer.Put(space.MaximumPages);
            writer.Put(space.NextSharedFrame - space.FirstSharedFrame);
            List<(ulong Frame, byte Level)> pins = [];
            List<ulong> leaving = [];
            foreach (ulong frame in FramesOf(space))
            {
                space.TryGet(frame, out int index);
                ref FrameInfo info = ref space[index];
                if (info.Pinned)
                {
                    pins.Add((frame, (byte)info.Type));
                }

                if (info.Leaving)
                {
                    leaving.Add(frame);
                }
            }

            for (ulong frame = space.FirstSharedFrame; frame < space.NextSharedFrame; frame++)
            {
                writer.Put(space.GetM2P(frame));
            }

            writer.PutAll(pins, (w, pin) =>
            {
                w.Put(pin.Frame);
                w.Put(pin.Level);
            });
            writer.PutAll(leaving, (w, frame) => w.Put(frame));
        }
    }

    /// <summary>Writes the guest's frames and their numbers, a list of at most <see cref="MostFrames"/> after the other. The domain is paused.</summary>
    public static IEnumerable<StateWriter> SaveFrames(MmuHypercalls mmu)
    {
        foreach (ulong[] frames in FramesOf(mmu.Space).Chunk(MostFrames))
        {
            StateWriter writer = new();
            writer.Put((uint)frames.Length);
            Fill(MemoryMarshal.Cast<byte, NumberedFrame>(writer.Reserve(frames.Length * Unsafe.SizeOf<NumberedFrame>())), frames, mmu.Space);
            yield return writer;
        }
    }

    /// <summary>Gives an empty space the limits and shared frames of a saved one; <see cref="LoadFrames"/>, the guest's memory and <see cref="LoadPins"/> follow.</summary>
    public static void LoadSpace(StateReader reader, MmuHypercalls mmu)
    {
        reader.Expect("SPAC"u8);
        lock (mmu.MmuLock)
        {
            MachineSpace space = mmu.Space;
            ulong maximum = reader.Get<ulong>();
            StateReader.Demand(maximum <= space.BuiltMaximum, $"a domain built for {space.BuiltMaximum} pages cannot have a maximum of {maximum}");
            space.MaximumPages = maximum;
            ulong shared = reader.Get<ulong>();
            ulong present = space.NextSharedFrame - space.FirstSharedFrame;
            StateReader.Demand(shared >= present, "the shared info page is missing");
            for (; present < shared; present++)
            {
                StateReader.Demand(space.TryAllocateShared(out _), $"{shared} shared pages are more than a domain can have");
            }

            for (ulong frame = space.FirstSharedFrame; frame < space.NextSharedFrame; frame++)
            {
                space.SetM2P(frame, reader.Get<ulong>());
            }
        }
    }

    /// <summary>Gives a space the guest's frames of one list.</summary>
    /// <remarks>A copy of a domain waits for this: at once as fast as it gets, with the space's code in it.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void LoadFrames(StateReader reader, MmuHypercalls mmu)
    {
        lock (mmu.MmuLock)
        {
            MachineSpace space = mmu.Space;
            int count = (int)reader.GetCount(MostFrames);
            foreach (NumberedFrame one in MemoryMarshal.Cast<byte, NumberedFrame>(reader.Take(count * Unsafe.SizeOf<NumberedFrame>()).Span))
            {
                StateReader.Demand(space.TryClaim(one.Frame), $"machine frame {one.Frame:x} cannot be the guest's");
                space.SetM2P(one.Frame, one.Pfn);
            }
        }

        reader.ExpectEnd();
    }

    /// <summary>Pins the page tables again, each after a check of every entry below it.</summary>
    /// <returns>Frames that the guest gave back and that something still refers to; to be given back when all else is loaded.</returns>
    public static IReadOnlyList<ulong> LoadPins(StateReader reader, MmuHypercalls mmu)
    {
        MachineSpace space = mmu.Space;
        uint pins = reader.GetCount((uint)space.BuiltMaximum);
        for (uint i = 0; i < pins; i++)
        {
            ulong frame = reader.Get<ulong>();
            FrameType level = (FrameType)reader.Get<byte>();
            StateReader.Demand(level is >= FrameType.L1 and <= FrameType.L4, $"{level} is no level of page tables");
            Pin(mmu, frame, level);
        }

        List<ulong> leaving = [];
        uint count = reader.GetCount((uint)space.BuiltMaximum);
        for (uint i = 0; i < count; i++)
        {
            leaving.Add(reader.Get<ulong>());
        }

        return leaving;
    }

    /// <summary>Takes the frames back that the guest gave back before.</summary>
    public static void GiveBack(IReadOnlyList<ulong> leaving, MmuHypercalls mmu)
    {
        lock (mmu.MmuLock)
        {
            foreach (ulong frame in leaving)
            {
                StateReader.Demand(mmu.Types.GiveBack(frame) == 0, $"machine frame {frame:x} cannot be given back");
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Fill(Span<NumberedFrame> list, ulong[] frames, MachineSpace space)
    {
        for (int i = 0; i < frames.Length; i++)
        {
            list[i] = new NumberedFrame(frames[i], space.GetM2P(frames[i]));
        }
    }

    private static IEnumerable<ulong> FramesOf(MachineSpace space)
    {
        for (ulong frame = MachineSpace.FirstFrame; frame < space.FirstSharedFrame; frame++)
        {
            if (space.TryGet(frame, out int index) && space[index].Owner == FrameOwner.Guest)
            {
                yield return frame;
            }
        }
    }

    private static void Pin(MmuHypercalls mmu, ulong frame, FrameType level)
    {
        int error;
        do
        {
            lock (mmu.MmuLock)
            {
                mmu.Types.BeginWork();
                error = mmu.Types.Acquire(frame, level);
                if (error == 0)
                {
                    mmu.Types.Finish();
                    mmu.Space.TryGet(frame, out int index);
                    StateReader.Demand(!mmu.Space[index].Pinned, $"machine frame {frame:x} is pinned twice");
                    mmu.Space[index].Pinned = true;
                }
            }
        }
        while (error == PageTypes.Preempted);
        StateReader.Demand(error == 0, $"the page table in machine frame {frame:x} was refused with {error}");
    }

    /// <summary>As a list has it: the machine frame and its pseudo-physical number.</summary>
    private readonly record struct NumberedFrame(ulong Frame, ulong Pfn);
}
