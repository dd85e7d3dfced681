using System.ComponentModel;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Shinano.Linux;

/// <summary>Where this process's output goes.</summary>
public static partial class StandardOutput
{
    /// <summary>Has standard output and error, and what .NET writes there, appended to a file from now on.</summary>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public static void MoveTo(string path)
    {
        using (SafeFileHandle file = File.OpenHandle(path, FileMode.Append, FileAccess.Write, FileShare.ReadWrite))
        {
            int number = (int)file.DangerousGetHandle();
            if (Duplicate(number, 1) < 0 || Duplicate(number, 2) < 0)
            {
                throw new IOException($"{path}: {new Win32Exception(Marshal.GetLastPInvokeError()).Message}");
            }
        }

        // .NET may have opened the old ones for itself.
        Console.SetOut(Open(path));
        Console.SetError(Open(path));
    }

    private static StreamWriter Open(string path) => new(new FileStream(path, FileMode.Append, FileAccess.Write, FileShare.ReadWrite, bufferSize: 0)) { AutoFlush = true };

    [LibraryImport("libc", EntryPoint = "dup2", SetLastError = true)]
    private static partial int Duplicate(int from, int to);
}
