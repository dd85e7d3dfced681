namespace Shinano.Memory;

/// <summary>Told of each write into a frame that is marked <see cref="FrameFlags.Code"/>. Implemented by a CPU engine.</summary>
public interface ICodeWatcher
{
    /// <summary>Bytes of a code frame changed. Called on the writer's thread, after the write; must not block.</summary>
    /// <param name="physical">Physical address of the first byte.</param>
    /// <param name="length">Length in bytes; does not cross a page.</param>
    void CodeWritten(ulong physical, int length);
}
