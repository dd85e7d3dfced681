namespace Shinano.Devices.Paravirtual.Console;

/// <summary>
/// Appends a console's output to a file and rotates it: PATH becomes PATH.1, older ones shift up. Trouble with the disk never stops the guest: the output
/// is dropped and counted, and the next write tries again. One thread.
/// </summary>
public sealed class ConsoleLog : IDisposable
{
    private const UnixFileMode Mode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
    private readonly string _path;
    private readonly long _rotateBytes;
    private readonly int _rotateCount;
    private FileStream? _file;

    /// <param name="path">File to append to; made with its directory when the first output comes.</param>
    /// <param name="rotateBytes">Size at which the file is rotated.</param>
    /// <param name="rotateCount">Rotated files kept; 0 truncates instead.</param>
    public ConsoleLog(string path, long rotateBytes, int rotateCount)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(rotateBytes);
        ArgumentOutOfRangeException.ThrowIfNegative(rotateCount);
        _path = path;
        _rotateBytes = rotateBytes;
        _rotateCount = rotateCount;
    }

    /// <summary>Bytes that could not be written.</summary>
    public long Dropped { get; private set; }

    /// <summary>Writes through to the kernel.</summary>
    public void Write(ReadOnlySpan<byte> output)
    {
        try
        {
            while (!output.IsEmpty)
            {
                FileStream file = _file ??= Open();
                if (file.Position >= _rotateBytes)
                {
                    Rotate();
                    continue;
                }

                int count = (int)Math.Min(output.Length, _rotateBytes - file.Position);
                file.Write(output[..count]);
                output = output[count..];
            }
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            Dropped += output.Length;
            Close();
        }
    }

    /// <inheritdoc/>
    public void Dispose() => Close();

    private FileStream Open()
    {
        if (Path.GetDirectoryName(_path) is { Length: > 0 } directory)
        {
            Directory.CreateDirectory(directory);
        }

        FileStream file = new(_path, new FileStreamOptions
        {
            Mode = FileMode.OpenOrCreate,
            Access = FileAccess.Write,
            Share = FileShare.ReadWrite | FileShare.Delete,
            BufferSize = 0,
            UnixCreateMode = Mode,
        });
        file.Seek(0, SeekOrigin.End);
        return file;
    }

    private void Rotate()
    {
        Close();
        if (_rotateCount == 0)
        {
            File.Delete(_path);
            return;
        }

        for (int i = _rotateCount - 1; i >= 1; i--)
        {
            if (File.Exists($"{_path}.{i}"))
            {
                File.Move($"{_path}.{i}", $"{_path}.{i + 1}", overwrite: true);
            }
        }

        File.Move(_path, $"{_path}.1", overwrite: true);
    }

    private void Close()
    {
        _file?.Dispose();
        _file = null;
    }
}
