using System.ComponentModel;
using System.Diagnostics;
using System.Text;

namespace Shinano.Control.GuestPackages.Apt;

/// <summary>Starts real processes, in the C locale so that their messages can be read, and without a terminal.</summary>
internal sealed class ProgramRunner : IProgramRunner
{
    public async Task<ProgramResult> RunAsync(
        string program,
        IReadOnlyList<string> arguments,
        string workingDirectory,
        Action<string>? onOutputLine,
        CancellationToken cancellation)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            WorkingDirectory = workingDirectory,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment["LC_ALL"] = "C";
        start.Environment["DEBIAN_FRONTEND"] = "noninteractive";

        using var process = new Process { StartInfo = start };
        var output = new StringBuilder();
        var error = new StringBuilder();
        process.OutputDataReceived += (_, line) => Collect(output, line.Data, onOutputLine);
        process.ErrorDataReceived += (_, line) => Collect(error, line.Data, null);
        try
        {
            process.Start();
        }
        catch (Win32Exception exception)
        {
            return new ProgramResult(ProgramResult.NotFound, string.Empty, exception.Message);
        }

        process.StandardInput.Close();
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        try
        {
            await process.WaitForExitAsync(cancellation).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw;
        }

        return new ProgramResult(process.ExitCode, output.ToString(), error.ToString());
    }

    private static void Collect(StringBuilder text, string? line, Action<string>? onLine)
    {
        if (line is not null)
        {
            text.AppendLine(line);
            onLine?.Invoke(line);
        }
    }
}
