using System.Diagnostics;
using Shinano.Control.Api.Domains;

namespace Shinano.Control.Daemon.Migration;

/// <summary>A command's standard streams: what is written goes to its input, what is read is its output. The command ends with this.</summary>
internal sealed class CommandStream : Stream
{
    private readonly Process _process;
    private readonly Stream _output;
    private readonly Stream _input;
    private volatile string? _complaint;
    private int _disposed;

    /// <param name="command">For /bin/sh; what it says on its standard error is reported when it ends early.</param>
    /// <exception cref="DomainFailureException">There is no shell.</exception>
    public CommandStream(string command)
    {
        ProcessStartInfo start = new("/bin/sh", ["-c", command]) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        try
        {
            _process = Process.Start(start)!;
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            throw new DomainFailureException(DomainFailureCode.MigrationUnreachable, $"'{command}': {e.Message}", e);
        }

        _process.ErrorDataReceived += (_, said) => _complaint = said.Data is { Length: > 0 } line ? line : _complaint;
        _process.BeginErrorReadLine();
        _input = _process.StandardInput.BaseStream;
        _output = _process.StandardOutput.BaseStream;
    }

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => true;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public override void Flush() => _input.Flush();

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    public override int Read(Span<byte> buffer)
    {
        int count = _output.Read(buffer);
        return count > 0 || buffer.IsEmpty ? count : throw new IOException(_complaint is { } said ? $"the command ended: {said}" : "the command ended");
    }

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => _input.Write(buffer, offset, count);

    public override void Write(ReadOnlySpan<byte> buffer) => _input.Write(buffer);

    protected override void Dispose(bool disposing)
    {
        if (disposing && Interlocked.Exchange(ref _disposed, 1) == 0)
        {
            try
            {
                _process.Kill(entireProcessTree: true);
            }
            catch (InvalidOperationException)
            {
                // It has ended.
            }

            _input.Dispose();
            _output.Dispose();
            _process.Dispose();
        }

        base.Dispose(disposing);
    }
}
