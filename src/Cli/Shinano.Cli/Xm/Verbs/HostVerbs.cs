using System.CommandLine;
using Shinano.Control.Api.Xend;

namespace Shinano.Cli.Xm.Verbs;

/// <summary>About the host: info, dmesg, log.</summary>
internal static class HostVerbs
{
    public static void AddTo(Command root, XmEnvironment environment)
    {
        Option<bool> json = Verb.Json();
        Verb.Add(root, environment, "info", "Shows facts about the host.", [json], async (result, xend, token) =>
        {
            HostInformation host = await xend.GetHostAsync(token);
            if (result.GetValue(json))
            {
                await environment.Output.WriteLineAsync(JsonText.Of(host));
                return;
            }

            foreach (string line in HostText.Info(host))
            {
                await environment.Output.WriteLineAsync(line);
            }
        });

        Argument<string?> domain = new("domain") { Arity = ArgumentArity.ZeroOrOne, Description = "Only this domain's" };
        Option<bool> clear = Verb.Flag("--clear", "Forget the messages after printing them", "-c");
        Verb.Add(root, environment, "dmesg", "Shows the hypervisor's messages.", [domain, clear], async (result, xend, token) =>
            await environment.Output.WriteAsync(await xend.GetHypervisorLogAsync(result.GetValue(domain), result.GetValue(clear), token)));

        Command log = new("log", "Shows xend's log.");
        log.SetAction(_ => PrintLog(environment));
        root.Add(log);
    }

    /// <summary>Straight from the file: it is most wanted when xend does not run.</summary>
    private static int PrintLog(XmEnvironment environment)
    {
        string path = Path.Combine(environment.Paths.LogDirectory, "xend.log");
        if (!File.Exists(path))
        {
            environment.Complain($"{path}: there is no log yet");
            return ExitCodes.Failure;
        }

        foreach (string line in File.ReadLines(path))
        {
            environment.Output.WriteLine(line);
        }

        return ExitCodes.Success;
    }
}
