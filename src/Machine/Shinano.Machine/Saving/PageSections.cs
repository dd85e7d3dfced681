using System.Buffers.Binary;
using Shinano.Memory;
using Shinano.SavedState;

namespace Shinano.Machine.Saving;

/// <summary>The guest's memory in a saved domain: runs of frames that hold anything but zeros.</summary>
/// <remarks>
/// <code>
/// 0 first machine frame (64)   8 count (32)   12 zero (32)   16 count pages of 4096 bytes
/// </code>
/// </remarks>
internal static class PageSections
{
    /// <summary>Frames of a section at most: 1 MiB.</summary>
    private const int MostFrames = 256;
    private const int HeaderSize = 16;

    /// <summary>Writes every frame of the guest's and of those shared with it.</summary>
    /// <param name="belongs">Whether a frame is one of these.</param>
    /// <returns>Pages written.</returns>
    public static long Write(SectionWriter output, GuestMemory memory, Func<ulong, bool> belongs) => Write(output, memory, memory.FramesWithContent().Where(belongs));

    /// <summary>Writes frames, whatever they hold, in ascending order; those that are no memory, or are none any more, are left out.</summary>
    /// <returns>Pages written.</returns>
    public static long Write(SectionWriter output, GuestMemory memory, IEnumerable<ulong> frames)
    {
        byte[] section = new byte[HeaderSize + (MostFrames * GuestMemory.PageSize)];
        ulong first = 0;
        int count = 0;
        long pages = 0;
        foreach (ulong frame in frames)
        {
            if (count == MostFrames || (count > 0 && frame != first + (ulong)count))
            {
                Flush();
            }

            first = count == 0 ? frame : first;
            if (memory.TryRead(frame << GuestMemory.PageShift, section.AsSpan(HeaderSize + (count * GuestMemory.PageSize), GuestMemory.PageSize)))
            {
                count++;
                pages++;
            }
        }

        if (count > 0)
        {
            Flush();
        }

        return pages;

        void Flush()
        {
            BinaryPrimitives.WriteUInt64LittleEndian(section, first);
            BinaryPrimitives.WriteUInt64LittleEndian(section.AsSpan(8), (uint)count);
            output.Write(SectionKind.Pages, section.AsSpan(0, HeaderSize + (count * GuestMemory.PageSize)));
            count = 0;
        }
    }

    /// <summary>Puts a section's pages where they belong.</summary>
    /// <exception cref="SavedStateException">A frame is none of the guest's.</exception>
    public static void Load(ReadOnlySpan<byte> section, GuestMemory memory, Func<ulong, bool> belongs)
    {
        StateReader.Demand(section.Length >= HeaderSize, "a section of pages without a header");
        ulong first = BinaryPrimitives.ReadUInt64LittleEndian(section);
        ulong count = BinaryPrimitives.ReadUInt64LittleEndian(section[8..]);
        StateReader.Demand(
            count <= MostFrames && section.Length == HeaderSize + ((int)count * GuestMemory.PageSize), "a section of pages has another length than it says");
        for (int i = 0; i < (int)count; i++)
        {
            ulong frame = unchecked(first + (ulong)i);
            StateReader.Demand(belongs(frame), $"machine frame {frame:x} is none of the guest's");
            section.Slice(HeaderSize + (i * GuestMemory.PageSize), GuestMemory.PageSize).CopyTo(memory.FrameSpan(frame));
        }
    }
}
